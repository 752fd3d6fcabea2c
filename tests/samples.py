"""Images, batches and settings that several test files share."""

from typing import Any

import numpy as np
import torch
from hypothesis import settings
from torch import Tensor

from augury.augment.names import op_stage
from augury.augment.stages.plan import PlanStage
from augury.core import registry
from augury.core.batch import Batch
from augury.core.noise import Noise
from augury.core.options import Spec
from augury.core.targets import Targets

# Hypothesis without clock, chance or files, so that a failure comes back.
steady = settings(derandomize=True, deadline=None, max_examples=60, database=None)

CLASSES = 11


def pictures(channels: int, height: int, width: int) -> Tensor:
    """uint8 [9,C,H,W]: noise, constants, two levels, gradients, a checkerboard: what breaks statistics and tables."""
    random = np.random.default_rng(height * 1000 + width * 10 + channels)
    y, x = np.mgrid[:height, :width]
    planes = [
        random.integers(0, 256, (channels, height, width)),
        random.integers(96, 160, (channels, height, width)),
        np.full((channels, height, width), 0),
        np.full((channels, height, width), 255),
        np.full((channels, height, width), 77),
        np.where(random.random((channels, height, width)) < 0.5, 13, 14),
        np.broadcast_to((x * 255) // max(1, width - 1), (channels, height, width)) // np.arange(1, channels + 1)[:, None, None],
        np.broadcast_to(((x + y) % 2) * 255, (channels, height, width)),
        np.where(random.random((channels, height, width)) < 0.9, 255, (y * 7 + x * 3) % 256),
    ]
    return torch.from_numpy(np.stack(planes).astype(np.uint8))


def noisy(count: int, channels: int = 3, height: int = 16, width: int = 12, seed: int = 0) -> Tensor:
    """uint8 [B,C,H,W], random."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, channels, height, width), dtype=torch.uint8, generator=generator)


def batch_of(images: Tensor, start: int = 0, size: Tensor | None = None) -> Batch:
    """A batch with labels, addresses and a saliency map, whatever an operation may need."""
    count = len(images)
    ids = torch.arange(start, start + count)
    generator = torch.Generator().manual_seed(1)
    saliency = torch.rand(count, *images.shape[-2:], generator=generator)
    return Batch(images, Targets.of(ids % CLASSES, CLASSES), ids, saliency=saliency, size=size)


def noise_of(batch: Batch, epoch: int = 0, seed: int = 3) -> Noise:
    return Noise.of(seed, batch.ids, epoch=epoch)


def stage_of(name: str, **options: Any) -> PlanStage:
    """One operation as a stage, as a chain would make it."""
    return op_stage(Spec(name, options), "test")


def always(name: str, **options: Any) -> PlanStage:
    """One operation that fires for every image."""
    return stage_of(name, p=1.0, **options)


OPS = registry.names("op")
MIXES = [name for name in OPS if "partner" in registry.get("op", name)().needs]
ALONE = [name for name in OPS if name not in MIXES]


def same(left: Batch, right: Batch) -> bool:
    """Whether two batches agree to the bit in images, labels and addresses."""
    if left.targets is None or right.targets is None:
        return torch.equal(left.images, right.images) and left.targets is right.targets
    parts = [(left.images, right.images), (left.ids, right.ids), (left.targets.dense(), right.targets.dense())]
    return all(torch.equal(a, b) for a, b in parts)
