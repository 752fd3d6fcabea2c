"""Before and after: a data set's own images under an augmentation."""

from dataclasses import dataclass

import torch
from torch import Tensor

from augury.augment.build import build
from augury.augment.pipeline import Fill
from augury.augment.stage import Normalize
from augury.core.batch import Batch
from augury.core.noise import Noise
from augury.core.options import Chain
from augury.core.targets import Targets
from augury.train.data.dataset import Dataset


@dataclass(frozen=True)
class Draws:
    """before uint8 [R,C,H,W]; after: `draws` of the same shape each; captions[d][r] says what was drawn."""

    before: Tensor
    after: list[Tensor]
    captions: list[list[str]]


def rows_of(dataset: Dataset, count: int) -> Tensor:
    """Rows of `count` training images, one class after another, so that a sheet shows them all."""
    labels = dataset.train.labels
    within = torch.zeros_like(labels)
    for label in labels.unique():
        mask = labels == label
        within[mask] = torch.arange(int(mask.sum()))
    return torch.argsort(within * len(dataset.classes) + labels, stable=True)[:count]


def draw(
    dataset: Dataset, augment: Chain, rows: Tensor, draws: int, *, seed: int = 0, epoch: int = 0, fill: Fill | None = None
) -> Draws:
    """What the training with this seed shows the network of these rows, from epoch `epoch` on, an epoch per draw.

    Partners of mixes come from the rows shown. The pixels are those after the whole pipeline, taken back from their
    normalised values.
    """
    pipeline = build(augment, (dataset.mean, dataset.std))
    normalize = next(stage for stage in pipeline.stages if isinstance(stage, Normalize))
    split = dataset.train
    before, ids = split.images[rows], split.ids[rows]
    after, captions = [], []
    for number in range(draws):
        batch = Batch(before, Targets.of(split.labels[rows], len(dataset.classes)), ids)
        done, traces = pipeline.run(batch, Noise.of(seed, ids, epoch=epoch + number), fill=fill)
        after.append(normalize.restore(done.images))
        captions.append([pipeline.describe(traces, row) for row in range(len(rows))])
    return Draws(before, after, captions)
