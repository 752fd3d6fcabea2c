"""The host's side of `views`: the images of a step by stream, and their augmentation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from augury.augment.pipeline import Pipeline, SaliencySource
from augury.core.batch import Batch
from augury.core.draws import Draws
from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.plan import Clock
from augury.train.method.counts import Counts

# Returns the un-augmented images of one stream in a step, uint8 [B,C,H,W] with their ids; called when they are first read.
Source = Callable[[], Batch]


@dataclass
class StepViews:
    """The `views` of one step: each stream's images, augmented by the pipelines; the last replaces missing ones.

    Streams other than `train` have their own draws. address: the clock's epoch as a tensor, so that it can be changed in a
    captured step. smoothing: the weight of the uniform distribution in every label. class_weights: float [classes], factors
    for each class's part of a label. draws: how the draws for one image relate across epochs.
    device: where to move the augmented images (None: not at all).
    """

    sources: Mapping[str, Source]
    pipelines: tuple[Pipeline, ...]
    seed: int
    clock: Clock
    counts: Counts = field(default_factory=Counts)
    saliency: SaliencySource | None = None
    address: Tensor | None = None
    smoothing: float = 0.0
    draws: Draws = "independent"
    class_weights: Tensor | None = None
    device: torch.device | None = None
    _batches: dict[str, Batch] = field(default_factory=dict, init=False, repr=False)

    def __call__(self, view: int = 0, pipeline: int = 0, stream: str = "train") -> Batch:
        batch = self._batch(stream)
        epoch = self.clock.epoch if self.address is None else self.address
        noise = Noise.of(self.seed, batch.ids, epoch=epoch, view=view, visits=batch.visits, draws=self.draws)
        noise = noise if stream == "train" else noise.fold(stream)
        self.counts.images += len(batch)
        chosen = self.pipelines[min(pipeline, len(self.pipelines) - 1)]
        intensity = self.clock.intensity
        done, _ = chosen.run(
            batch.replace(key=noise.key), noise, clock=self.clock, saliency=self.saliency, intensity=intensity,
            refined=intensity == 0,
        )  # fmt: skip
        if self.smoothing and done.targets is not None:
            done = done.replace(targets=done.targets.smoothed(self.smoothing))
        if self.class_weights is not None and done.targets is not None:
            done = done.replace(targets=done.targets.weighted(self.class_weights))
        # Channels last is a third faster on a CPU, and more on a GPU in bfloat16.
        done = done.replace(images=done.images.contiguous(memory_format=torch.channels_last))
        return done if self.device is None else done.to(self.device)

    def _batch(self, stream: str) -> Batch:
        if stream not in self._batches:
            if stream not in self.sources:
                raise InputError(f"--strategy: this training has no {stream!r} stream")
            self._batches[stream] = self.sources[stream]()
        return self._batches[stream]


def belonging(images: Tensor, ids: Tensor, visits: Tensor | None) -> Batch:
    """The batch of a stream with K images for every row, uint8 [B,K,C,H,W]: row by row, without labels.

    Each image of a row has its own visit number, and so its own draws.
    """
    count = images.shape[1]
    again = torch.zeros_like(ids) if visits is None else visits
    place = torch.arange(count, device=ids.device).repeat(len(ids))
    return Batch(
        images.flatten(0, 1), None, ids.repeat_interleave(count), visits=again.repeat_interleave(count) * count + place
    )  # fmt: skip
