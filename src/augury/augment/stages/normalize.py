"""Normalize: converts pixels to the values that a network is trained on."""

from dataclasses import dataclass

import torch
from torch import Tensor

from augury.augment.forms.normalize import normalised, restored
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.plan import Clock
from augury.core.stage import Domain, Trace


@dataclass(frozen=True)
class Normalize:
    """uint8 pixels to floats: (x / 255 - mean) / std per channel. Draws nothing."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    name: str = "normalize"
    address: str = "normalize"
    intensive: bool = False
    domain: Domain = "pixels"
    needs: frozenset[str] = frozenset()
    mixes_labels: bool = False

    def sample(self, batch: Batch, noise: Noise, clock: Clock | None = None, intensity: float | Tensor = 1.0) -> Trace:
        return {}

    def apply(self, batch: Batch, trace: Trace) -> Batch:
        if batch.images.dtype != torch.uint8:
            raise InputError("images: normalize takes uint8 pixels; these are already floats")
        return batch.replace(images=self.normalise(batch.images))

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 [B,C,H,W] to float32."""
        return normalised(images, self.mean, self.std)

    def restore(self, images: Tensor) -> Tensor:
        """float [B,C,H,W] back to the nearest uint8 pixels, for people to look at."""
        return restored(images, self.mean, self.std)

    def repeat(self, noise: Noise) -> Noise:
        return noise

    def describe(self, trace: Trace, row: int) -> str:
        return ""


@dataclass(frozen=True)
class Layout:
    """The type and memory layout in which normalised images come out. Draws nothing."""

    dtype: torch.dtype
    channels_last: bool
    name: str = "layout"
    address: str = "layout"
    intensive: bool = False
    domain: Domain = "any"
    needs: frozenset[str] = frozenset()
    mixes_labels: bool = False

    def sample(self, batch: Batch, noise: Noise, clock: Clock | None = None, intensity: float | Tensor = 1.0) -> Trace:
        return {}

    def apply(self, batch: Batch, trace: Trace) -> Batch:
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        return batch.replace(images=batch.images.to(self.dtype).contiguous(memory_format=layout))

    def repeat(self, noise: Noise) -> Noise:
        return noise

    def describe(self, trace: Trace, row: int) -> str:
        return ""
