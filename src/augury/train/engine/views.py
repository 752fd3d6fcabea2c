"""The host's side of `views`: which images a step sees, and their augmentation."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from augury.augment.pipeline import Fill, Pipeline
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.noise import Draws, Noise
from augury.core.plan import Clock
from augury.core.targets import Targets
from augury.train.data.dataset import Split
from augury.train.engine.costs import Counts
from augury.train.engine.streams import Drawn


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
    """The `views` of one step: rows of a split, augmented by the training's pipelines; the last stands in for missing ones.

    visits: int64 [B], how often each row was seen before in this epoch. others: rows of other sources of images. further:
    images that belong to the rows, uint8 [N,K,C,H,W] with K for every row of the split. images: the rows' pixels where they
    are at hand already. address: the clock's epoch as a tensor, so that a captured step can be told another. smoothing: the
    weight of the uniform distribution in every label. draws: how an image's draws of several epochs belong together.
    """

    split: Split
    rows: Tensor
    classes: int
    pipelines: tuple[Pipeline, ...]
    seed: int
    clock: Clock
    counts: Counts = field(default_factory=Counts)
    visits: Tensor | None = None
    fill: Fill | None = None
    others: dict[str, Drawn] = field(default_factory=dict)
    further: Mapping[str, Tensor] = field(default_factory=dict)
    images: Tensor | None = None
    address: Tensor | None = None
    smoothing: float = 0.0
    draws: Draws = "independent"

    def __call__(self, view: int = 0, pipeline: int = 0, stream: str = "train") -> Batch:
        batch, noise = self._source(view, stream)
        self.counts.images += len(batch)
        chosen = self.pipelines[min(pipeline, len(self.pipelines) - 1)]
        intensity = self.clock.intensity
        done, _ = chosen.run(batch, noise, clock=self.clock, fill=self.fill, intensity=intensity, refined=intensity == 0)
        if self.smoothing and done.targets is not None:
            done = done.replace(targets=done.targets.smoothed(self.smoothing))
        # A third faster on a CPU, more on a GPU with bfloat16.
        return done.replace(images=done.images.contiguous(memory_format=torch.channels_last))

    def _source(self, view: int, stream: str) -> tuple[Batch, Noise]:
        """The stream's images with the noise of this view; a stream other than `train` has addresses of its own."""
        if stream in self.further:
            return self._further(self.further[stream][self.rows], stream, view)
        if stream != "train" and stream not in self.others:
            raise InputError(f"--strategy: this training has no {stream!r} stream")
        drawn = self.others.get(stream)
        split, rows, visits = (self.split, self.rows, self.visits) if drawn is None else (drawn.split, drawn.rows, drawn.visits)
        ids, pixels = split.ids[rows], split.images[rows] if drawn is not None or self.images is None else self.images
        groups = None if split.groups is None else split.groups[rows]
        noise = Noise.of(self.seed, ids, epoch=self._epoch, view=view, visits=visits, draws=self.draws)
        noise = noise if drawn is None else noise.fold(stream)
        if drawn is not None and not drawn.labelled:
            return Batch(pixels, None, ids, visits=visits, key=noise.key), noise
        labels = split.labels[rows]
        targets = Targets(labels[:, None], torch.ones(len(labels), 1, device=labels.device), self.classes)
        return Batch(pixels, targets, ids, visits=visits, groups=groups, key=noise.key), noise

    @property
    def _epoch(self) -> int | Tensor:
        return self.clock.epoch if self.address is None else self.address

    def _further(self, images: Tensor, stream: str, view: int) -> tuple[Batch, Noise]:
        """A stream that has K images for every row, uint8 [B,K,C,H,W]: they come row by row, without labels."""
        count = images.shape[1]
        ids = self.split.ids[self.rows].repeat_interleave(count)
        again = torch.zeros_like(ids) if self.visits is None else self.visits.repeat_interleave(count)
        # Each of a row's images has an address of its own: the visit tells them apart.
        visits = again * count + torch.arange(count, device=ids.device).repeat(len(self.rows))
        noise = Noise.of(self.seed, ids, epoch=self._epoch, view=view, visits=visits, draws=self.draws).fold(stream)
        return Batch(images.flatten(0, 1), None, ids, visits=visits, key=noise.key), noise
