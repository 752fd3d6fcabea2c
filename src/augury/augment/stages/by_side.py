"""The stage of a policy that was published in one version for small images and another for large ones."""

from dataclasses import dataclass

import torch
from torch import Tensor

from augury.augment.geometry.followed import Followed
from augury.augment.stages.plan import PlanStage
from augury.core.batch import Batch
from augury.core.noise import Noise
from augury.core.plan import Clock, Policy
from augury.core.stage import Domain, Trace


@dataclass(frozen=True)
class BySideStage:
    """The stage of a BySide policy: it selects the stage by the images' size, once, when it draws.

    The trace records the selection: it has an entry `large`, bool [B], only if the large stage drew. A trace can therefore be
    applied to images of another size, such as patches, without reading anything back from an accelerator.
    """

    small: PlanStage
    large: PlanStage
    limit_pixels: int

    @property
    def name(self) -> str:
        return self.small.name

    @property
    def address(self) -> str:
        return self.small.address

    @property
    def policy(self) -> Policy:
        return self.small.policy

    @property
    def intensive(self) -> bool:
        return self.small.intensive

    @property
    def domain(self) -> Domain:
        return self.small.domain

    @property
    def needs(self) -> frozenset[str]:
        return self.small.needs | self.large.needs

    @property
    def mixes_labels(self) -> bool:
        return self.small.mixes_labels

    def at(self, batch: Batch) -> PlanStage:
        """The stage for these images."""
        return self.small if min(batch.images.shape[-2:]) < self.limit_pixels else self.large

    def sample(self, batch: Batch, noise: Noise, clock: Clock | None = None, intensity: float | Tensor = 1.0) -> Trace:
        """The chosen stage's trace, with `large` where it is the large one."""
        stage = self.at(batch)
        trace = stage.sample(batch, noise, clock, intensity)
        return trace if stage is self.small else trace | {"large": torch.ones_like(trace["op"][:, 0], dtype=torch.bool)}

    def apply(self, batch: Batch, trace: Trace) -> Batch:
        return self._drew(trace).apply(batch, _of_stage(trace))

    def follow(self, followed: Followed, trace: Trace) -> Followed:
        return self._drew(trace).follow(followed, _of_stage(trace))

    def repeat(self, noise: Noise) -> Noise:
        return noise

    def describe(self, trace: Trace, row: int) -> str:
        """What was drawn, in words."""
        return self._drew(trace).describe(_of_stage(trace), row)

    def _drew(self, trace: Trace) -> PlanStage:
        return self.large if "large" in trace else self.small


def _of_stage(trace: Trace) -> Trace:
    return {name: part for name, part in trace.items() if name != "large"}
