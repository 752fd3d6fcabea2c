"""The host's side of `views`: which images a step sees, and their augmentation."""

from collections.abc import Iterator, Mapping
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


def epoch_order(ids: Tensor, seed: int, epoch: int) -> Tensor:
    """Row numbers of an epoch in the order they are trained on: sorted by hashed address, so nothing is to be saved."""
    return torch.argsort(Noise.of(seed, ids, epoch=epoch).fold("order").bits(1)[:, 0], stable=True)


def batches(order: Tensor, batch_size: int) -> Iterator[Tensor]:
    """The rows of each step. A last batch of a single image is left out: it has no partner and no batch statistics."""
    for rows in order.split(batch_size):
        if len(rows) > 1 or len(order) == 1:
            yield rows


@dataclass
class Counts:
    """What a training cost: augmented images made, forward and backward passes over a batch, optimiser steps."""

    images: int = 0
    forward: int = 0
    backward: int = 0
    steps: int = 0

    def dict(self) -> dict[str, int]:
        return {"images": self.images, "forward": self.forward, "backward": self.backward, "steps": self.steps}


@dataclass
class StepViews:
    """The `views` of one step: rows of a split, augmented by the training's pipelines.

    visits: int64 [B], how often each row was seen before in this epoch. streams: further images, uint8 [N,K,C,H,W] with K
    for every row of the split.
    """

    split: Split
    rows: Tensor
    classes: int
    pipelines: tuple[Pipeline, ...]
    seed: int
    clock: Clock
    counts: Counts = field(default_factory=Counts)
    visits: Tensor | None = None
    streams: Mapping[str, Tensor] = field(default_factory=dict)

    def __call__(self, view: int = 0, pipeline: int = 0, stream: str = "train") -> Batch:
        if stream in self.streams:
            return self._further(self.streams[stream][self.rows], stream, view, pipeline)
        if stream != "train" or pipeline >= len(self.pipelines):
            raise InputError(f"--strategy: this training has no {stream!r} stream with pipeline {pipeline}")
        ids = self.split.ids[self.rows]
        groups = None if self.split.groups is None else self.split.groups[self.rows]
        labels = self.split.labels[self.rows]
        targets = Targets(labels[:, None], torch.ones(len(labels), 1, device=labels.device), self.classes)
        batch = Batch(self.split.images[self.rows], targets, ids, visits=self.visits, groups=groups)
        return self._augmented(batch, Noise.of(self.seed, ids, epoch=self.clock.epoch, view=view, visits=self.visits), pipeline)

    def _further(self, images: Tensor, stream: str, view: int, pipeline: int) -> Batch:
        """A stream that has K images for every row, uint8 [B,K,C,H,W]: they come row by row, without labels."""
        count = images.shape[1]
        ids = self.split.ids[self.rows].repeat_interleave(count)
        again = torch.zeros_like(ids) if self.visits is None else self.visits.repeat_interleave(count)
        # Each of a row's images has an address of its own: the visit tells them apart.
        visits = again * count + torch.arange(count, device=ids.device).repeat(len(self.rows))
        noise = Noise.of(self.seed, ids, epoch=self.clock.epoch, view=view, visits=visits).fold(stream)
        return self._augmented(Batch(images.flatten(0, 1), None, ids, visits=visits), noise, pipeline)

    def _augmented(self, batch: Batch, noise: Noise, pipeline: int) -> Batch:
        self.counts.images += len(batch)
        done, _ = self.pipelines[pipeline].run(batch, noise, clock=self.clock)
        # A third faster on a CPU, more on a GPU with bfloat16.
        return done.replace(images=done.images.contiguous(memory_format=torch.channels_last))
