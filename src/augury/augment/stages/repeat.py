"""Repeat: repeats every image of a batch, so that later stages draw for each copy."""

from dataclasses import dataclass

import torch
from torch import Tensor

from augury.core.batch import Batch
from augury.core.noise import Noise
from augury.core.plan import Clock
from augury.core.stage import Domain, Trace


@dataclass(frozen=True)
class Repeat:
    """Repeats the rows of a batch `copies` times; later stages draw for each copy separately."""

    copies: int
    name: str = "batch_augment"
    address: str = "batch_augment"
    intensive: bool = False
    domain: Domain = "any"
    needs: frozenset[str] = frozenset()
    mixes_labels: bool = False

    def sample(self, batch: Batch, noise: Noise, clock: Clock | None = None, intensity: float | Tensor = 1.0) -> Trace:
        return {}

    def apply(self, batch: Batch, trace: Trace) -> Batch:
        return batch[torch.arange(len(batch), device=batch.images.device).repeat(self.copies)]

    def repeat(self, noise: Noise) -> Noise:
        """The noise of the repeated rows; the first copy keeps the original noise, so that copies=1 changes nothing."""
        return noise.stacked([noise.fold(f"copy{k}") for k in range(1, self.copies)])

    def describe(self, trace: Trace, row: int) -> str:
        return ""
