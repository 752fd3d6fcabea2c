"""The host's side of `views`: which images a step sees, and their augmentation."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from augury.augment.pipeline import Pipeline
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.plan import Clock
from augury.core.targets import Targets
from augury.train.data.dataset import Split
from augury.train.engine.costs import Counts


def epoch_order(ids: Tensor, seed: int, epoch: int) -> Tensor:
    """Row numbers of an epoch in the order they are trained on: sorted by hashed address, so nothing is to be saved."""
    return torch.argsort(Noise.of(seed, ids, epoch=epoch).fold("order").bits(1)[:, 0], stable=True)


def batches(order: Tensor, batch_size: int) -> Iterator[Tensor]:
    """The rows of each step. A last batch of a single image is left out: it has no partner and no batch statistics."""
    for rows in order.split(batch_size):
        if len(rows) > 1 or len(order) == 1:
            yield rows


@dataclass
class StepViews:
    """The `views` of one step: rows of a split, augmented by the training's pipelines; the last stands in for missing ones."""

    split: Split
    rows: Tensor
    classes: int
    pipelines: tuple[Pipeline, ...]
    seed: int
    clock: Clock
    counts: Counts = field(default_factory=Counts)

    def __call__(self, view: int = 0, pipeline: int = 0, stream: str = "train") -> Batch:
        if stream != "train":
            raise InputError(f"--strategy: this training has no {stream!r} stream")
        ids = self.split.ids[self.rows]
        groups = None if self.split.groups is None else self.split.groups[self.rows]
        labels = self.split.labels[self.rows]
        targets = Targets(labels[:, None], torch.ones(len(labels), 1, device=labels.device), self.classes)
        batch = Batch(self.split.images[self.rows], targets, ids, groups=groups)
        noise = Noise.of(self.seed, ids, epoch=self.clock.epoch, view=view)
        self.counts.images += len(batch)
        done, _ = self.pipelines[min(pipeline, len(self.pipelines) - 1)].run(batch, noise, clock=self.clock)
        # A third faster on a CPU, more on a GPU with bfloat16.
        return done.replace(images=done.images.contiguous(memory_format=torch.channels_last))
