"""The rows of a step in each stream: labelled images, repeated if there are few, and unlabelled images."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.train.data.dataset import Split
from augury.train.strategies.strategy import Strategy


@dataclass(frozen=True)
class Drawn:
    """Rows of a split, and how often each was read earlier in the epoch. labelled: whether their labels may be used."""

    split: Split
    rows: Tensor
    visits: Tensor
    labelled: bool = True

    def share(self, number: int, count: int) -> "Drawn":
        """Every `count`-th row, starting at row `number`."""
        return self if count == 1 else replace(self, rows=self.rows[number::count], visits=self.visits[number::count])


def repeated_order(ids: Tensor, seed: int, epoch: int, count: int, name: str = "order") -> tuple[Tensor, Tensor]:
    """`count` row numbers int64 and how often each came before, in passes over all rows, each in a hashed order of its own.

    The first pass has the order of `augury.train.engine.order.epoch_order`.
    """
    parts, visits = [], []
    for visit in range(-(-count // max(1, len(ids)))):
        noise = Noise.of(seed, ids, epoch=epoch, visits=torch.full_like(ids, visit))
        parts.append(torch.argsort(noise.fold(name).bits(1)[:, 0], stable=True))
        visits.append(torch.full_like(ids, visit))
    if not parts:
        return ids[:0], ids[:0]
    return torch.cat(parts)[:count], torch.cat(visits)[:count]


@dataclass
class Unlabelled:
    """All training images without their labels; a step has `ratio` times as many of them as labelled images."""

    split: Split
    ratio: int
    seed: int

    def epoch(self, epoch: int, steps: int, batch_size: int) -> "UnlabelledEpoch":
        rows, visits = repeated_order(self.split.ids, self.seed, epoch, steps * batch_size * self.ratio, "unlabelled")
        return UnlabelledEpoch(self, rows, visits, batch_size * self.ratio)


@dataclass(frozen=True)
class UnlabelledEpoch:
    """The order of one epoch, split into steps."""

    source: Unlabelled
    rows: Tensor
    visits: Tensor
    size: int

    def step(self, number: int) -> Drawn:
        cut = slice(number * self.size, (number + 1) * self.size)
        return Drawn(self.source.split, self.rows[cut], self.visits[cut], labelled=False)


def check_groups(strategy: Strategy, batch_size: int) -> None:
    """InputError if the strategy needs k images of each class in a batch and the batch size is not a multiple of k, at least 2k."""
    each = strategy.images_per_class
    if each and (batch_size % each or batch_size // each < 2):
        raise InputError(
            f"--batch-size {batch_size}: the strategy takes {each} images of each class; give a multiple, {2 * each} or more"
        )


def grouped_order(
    split: Split, seed: int, epoch: int, count: int, *, batch_size: int, each: int
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """As `repeated_order`, but in batches of `batch_size / each` classes with `each` images of each class.

    Every round takes the classes in a new hashed order; a class's images come in a hashed order that continues where its
    last turn ended. A last batch that a round of classes does not fill is dropped; a class occurs twice in a batch only if
    there are fewer classes than a batch needs.
    """
    classes, device = batch_size // each, split.ids.device
    all_ids, labels = split.ids.cpu(), split.labels.cpu()  # read one by one below, which would wait for a GPU each time
    places = [(labels == label).nonzero()[:, 0] for label in labels.unique()]
    representatives = torch.stack([all_ids[rows[0]] for rows in places]) if places else all_ids[:0]
    orders: dict[tuple[int, int], Tensor] = {}

    def image(index: int, number: int) -> tuple[Tensor, int]:
        rows, visit = places[index], number // len(places[index])
        if (index, visit) not in orders:
            ids = all_ids[rows]
            noise = Noise.of(seed, ids, epoch=epoch, visits=torch.full_like(ids, visit))
            orders[index, visit] = rows[torch.argsort(noise.fold("order").bits(1)[:, 0], stable=True)]
        return orders[index, visit][number % len(rows)], visit

    found: list[tuple[Tensor, int]] = []
    turns = [0] * len(places)
    turn = 0
    while len(found) < count and places:
        noise = Noise.of(seed, representatives, epoch=epoch, visits=torch.full_like(representatives, turn))
        drawn = torch.argsort(noise.fold("classes").bits(1)[:, 0], stable=True).tolist()
        whole = len(drawn) - len(drawn) % classes if len(drawn) >= classes else len(drawn)
        for index in drawn[:whole]:
            found += [image(index, turns[index] * each + k) for k in range(each)]
            turns[index] += 1
        turn += 1
    if not found:
        return split.ids[:0], split.ids[:0]
    rows, visits = torch.stack([row for row, _ in found[:count]]), torch.tensor([visit for _, visit in found[:count]])
    return rows.to(device), visits.to(device)
