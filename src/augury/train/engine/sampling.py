"""The order of an epoch: all images shuffled, or equally many of every group or class in each batch."""

from collections.abc import Iterator

import torch
from torch import Tensor

from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.train.data.dataset import Split
from augury.train.engine.order import batches
from augury.train.engine.streams import grouped_order, repeated_order


def epoch_batches(
    split: Split, groups: Tensor | None, seed: int, epoch: int, *, batch_size: int, images: int, steps: int, each: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """(rows, visits) int64 of each of an epoch's steps: balanced over `groups` int64 [N] if given, else shuffled.

    images: how many an epoch reads, repeating images if there are fewer. each: images per class in a batch, 0 for any number.
    """
    ids = split.ids
    if groups is not None:
        yield from balanced_batches(ids, groups, seed=seed, epoch=epoch, batch_size=batch_size, steps=steps)
        return
    if each:
        order, visits = grouped_order(split, seed, epoch, images, batch_size=batch_size, each=each)
    else:
        order, visits = repeated_order(ids, seed, epoch, images)
    for places in batches(torch.arange(len(order), device=order.device), batch_size):
        yield order[places], visits[places]


def check_balanced(count: int, batch_size: int, what: str) -> None:
    """InputError if a batch cannot hold each of `count` groups or classes. what: "groups" or "classes"."""
    if batch_size < count:
        raise InputError(
            f"--batch-size {batch_size}: fewer than the {count} {what} that each batch must hold; give at least {count}"
        )


def balanced_batches(
    ids: Tensor, cells: Tensor, *, seed: int, epoch: int, batch_size: int, steps: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """(rows, visits) int64 of each of an epoch's steps; batch_size // G rows of each of the G groups that occur.

    ids, cells int64 [N]: the images and their groups. In every epoch, each group is read in shuffled passes of its own;
    `visits` is the number of the pass, so that an image repeated within an epoch gets a new augmentation. Depends only on seed
    and epoch, so that no state needs saving.
    """
    present = torch.unique(cells).tolist()
    each = batch_size // len(present)
    streams = [_stream((cells == cell).nonzero()[:, 0], ids, seed, epoch, each * steps) for cell in present]
    for step in range(steps):
        part = slice(step * each, (step + 1) * each)
        yield torch.cat([rows[part] for rows, _ in streams]), torch.cat([visits[part] for _, visits in streams])


def _stream(rows: Tensor, ids: Tensor, seed: int, epoch: int, length: int) -> tuple[Tensor, Tensor]:
    """`length` rows of one group in successive shuffled passes, and the pass of each row."""
    noise = Noise.of(seed, ids[rows], epoch=epoch).fold("balanced")
    passes = -(-length // len(rows))
    order = torch.argsort(noise.bits(passes), dim=0, stable=True)
    visits = torch.arange(passes, device=rows.device).repeat_interleave(len(rows))
    return rows[order.T.flatten()][:length], visits[:length]
