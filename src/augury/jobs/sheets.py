"""Before and after: a data set's own images under an augmentation."""

from dataclasses import dataclass

import torch
from torch import Tensor

from augury.augment.names import build
from augury.augment.pipeline import SaliencySource
from augury.augment.stages.normalize import Normalize
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.options import Chain
from augury.core.plan import Clock
from augury.core.targets import Targets
from augury.train.data.dataset import Dataset
from augury.train.engine.order import batches
from augury.train.engine.streams import repeated_order


@dataclass(frozen=True)
class Draws:
    """before uint8 [R,C,H,W]; after: `draws` of the same shape each; captions[d][r] says what was drawn."""

    before: Tensor
    after: list[Tensor]
    captions: list[list[str]]


def sample_rows(dataset: Dataset, count: int) -> Tensor:
    """Rows of `count` training images, one class after another, so that a sheet shows them all."""
    labels = dataset.train.labels
    within = torch.zeros_like(labels)
    for label in labels.unique():
        mask = labels == label
        within[mask] = torch.arange(int(mask.sum()))
    return torch.argsort(within * len(dataset.classes) + labels, stable=True)[:count]


def rows_with(dataset: Dataset, ids: list[int]) -> Tensor:
    """Rows of the training images with these ids, in this order. Raises InputError for an id that is not there."""
    known = {int(number): row for row, number in enumerate(dataset.train.ids.tolist())}
    for number in ids:
        if number not in known:
            low, high = min(known), max(known)
            raise InputError(f"--ids {number}: no training image has this id; they lie from {low} to {high}")
    return torch.tensor([known[number] for number in ids], dtype=torch.int64)


@dataclass(frozen=True)
class History:
    """What a training's draws depend on beside seed and epoch: mixes on the batches, schedules on the number of epochs."""

    batch_size: int
    epochs: int


def draw(
    dataset: Dataset, augment: Chain, rows: Tensor, draws: int, *, seed: int = 0, epoch: int = 0,
    saliency: SaliencySource | None = None, history: History | None = None,
) -> Draws:  # fmt: skip
    """What the training with this seed shows the network of these rows, from epoch `epoch` on, an epoch per draw.

    Partners of mixes come from the rows shown, or with `history` from the batches the training had them in. The pixels are
    those after the whole pipeline, taken back from their normalised values.
    """
    pipeline = build(augment, (dataset.mean, dataset.std))
    normalize = next(stage for stage in pipeline.stages if isinstance(stage, Normalize))
    after, captions = [], []
    for number in range(epoch, epoch + draws):
        companies = [rows] if history is None or not pipeline.mixes else _batches_with(dataset, rows, seed, number, history)
        clock = Clock(number, history.epochs) if history else None
        shown, said = {}, {}
        for company in companies:
            done, traces = pipeline.run(
                _batch(dataset, company), _noise(dataset, company, seed, number), clock=clock, saliency=saliency
            )
            restored = normalize.restore(done.images)
            for place, row in enumerate(company.tolist()):
                if row in rows:
                    shown[row], said[row] = restored[place], pipeline.describe(traces, place)
        after.append(torch.stack([shown[row] for row in rows.tolist()]))
        captions.append([said[row] for row in rows.tolist()])
    return Draws(dataset.train.images[rows], after, captions)


def _batch(dataset: Dataset, rows: Tensor) -> Batch:
    split = dataset.train
    return Batch(split.images[rows], Targets.of(split.labels[rows], len(dataset.classes)), split.ids[rows])


def _noise(dataset: Dataset, rows: Tensor, seed: int, epoch: int) -> Noise:
    return Noise.of(seed, dataset.train.ids[rows], epoch=epoch)


def _batches_with(dataset: Dataset, rows: Tensor, seed: int, epoch: int, history: History) -> list[Tensor]:
    """The batches of that epoch that hold one of the rows."""
    order, _ = repeated_order(dataset.train.ids, seed, epoch, len(dataset.train.ids))
    return [batch for batch in batches(order, history.batch_size) if bool(torch.isin(batch, rows).any())]
