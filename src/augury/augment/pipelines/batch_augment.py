"""Batch augmentation: every image several times in its batch, each time augmented anew."""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from augury.augment.lowering import Trace
from augury.core.batch import Batch
from augury.core.noise import Noise
from augury.core.options import Interval
from augury.core.plan import Clock
from augury.core.registry import register


@dataclass(frozen=True)
class Repeat:
    """Repeats the rows of a batch `copies` times; the stages after it draw for each copy on its own."""

    copies: int
    name: str = "batch_augment"
    intensive: bool = False
    domain: str = "any"
    needs: frozenset[str] = frozenset()
    mixes_labels: bool = False

    def sample(self, batch: Batch, noise: Noise, clock: Clock | None = None, intensity: float | Tensor = 1.0) -> Trace:
        return {}

    def apply(self, batch: Batch, trace: Trace) -> Batch:
        return batch[torch.arange(len(batch), device=batch.images.device).repeat(self.copies)]

    def repeat(self, noise: Noise) -> Noise:
        """The noise of the repeated rows: the first copy keeps its own, so that one copy is no change."""
        return Noise(torch.cat([noise.key, *(noise.fold(f"copy{k}").key for k in range(1, self.copies))]))

    def describe(self, trace: Trace, row: int) -> str:
        return ""


@register("pipeline", "batch_augment", source="Hoffer et al. 2020 (arXiv:1901.09335), section 3")
def batch_augment(*, copies: Annotated[int, Interval(1, 64)] = 2) -> list[Repeat]:
    """Every image `copies` times in its batch, each copy augmented anew by what follows: `batch_augment(4)+standard`.

    The learning rate stays. A training step costs `copies` times as much; compare at equal cost.
    """
    return [Repeat(copies)]
