"""Normalize: converts pixels to the values that a network is trained on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from augury.augment.forms.normalize import coefficients, normalised, restored
from augury.augment.geometry.followed import Followed
from augury.augment.inputs import MOST_CHANNELS
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.plan import Clock
from augury.core.stage import Domain, Trace


@dataclass(frozen=True)
class Normalize:
    """uint8 pixels to floats: (x / 255 - mean) / std per channel. Draws nothing.

    mean, std: one number per channel, or one for all; empty until a pipeline fills them in.
    """

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
        self.coefficients(batch.images)
        return batch.replace(images=self.normalise(batch.images))

    def coefficients(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """float32 [C] each: what a pixel is multiplied by, and what is added then. Raises InputError for another C."""
        channels = images.shape[1]
        if len(self.mean) not in (1, channels):
            raise InputError(f"normalize: has mean and deviation for {len(self.mean)} channels, and the images have {channels}")
        scale, offset = coefficients(self.mean, self.std, images.device)
        return scale.expand(channels), offset.expand(channels)

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 [B,C,H,W] to float32."""
        return normalised(images, self.mean, self.std)

    def restore(self, images: Tensor) -> Tensor:
        """float [B,C,H,W] converted back to the nearest uint8 pixels, for display."""
        return restored(images, self.mean, self.std)

    def follow(self, followed: Followed, trace: Trace) -> Followed:
        return followed

    def repeat(self, noise: Noise) -> Noise:
        return noise

    def describe(self, trace: Trace, row: int) -> str:
        return ""


def checked_statistics(mean: Sequence[float], std: Sequence[float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """A mean and a deviation per channel, of pixels in [0, 1]. Raises InputError if they cannot be."""
    try:
        middle, deviation = tuple(map(float, mean)), tuple(map(float, std))
    except (TypeError, ValueError):
        raise InputError("normalize: expected (mean, std), each with a number per channel") from None
    if len(middle) != len(deviation) or not 1 <= len(middle) <= MOST_CHANNELS:
        raise InputError(
            f"normalize: {len(middle)} means and {len(deviation)} deviations; give one per channel, 1 to {MOST_CHANNELS} of each"
        )
    if not all(map(math.isfinite, middle)) or not all(0 < one < math.inf for one in deviation):
        raise InputError("normalize: means must be finite, and deviations above 0")
    if max(map(abs, middle)) > 1.5:
        raise InputError("normalize: mean and std are of pixels in [0, 1]; divide those of 0..255 by 255")
    return middle, deviation
