"""A policy that is published differently for small and for large images."""

from dataclasses import dataclass

import torch
from torch import Tensor

from augury.augment.lowering import Trace
from augury.augment.stage import PlanStage
from augury.core.batch import Batch
from augury.core.noise import Noise
from augury.core.plan import Clock, Plan, Policy, Space


@dataclass(frozen=True)
class BySide:
    """`small` for images whose shorter side is below `limit_pixels`, `large` from there on. Asked without images, `small`."""

    small: Policy
    large: Policy
    limit_pixels: int = 64

    @property
    def space(self) -> Space:
        return self.small.space

    @property
    def slots(self) -> int:
        return self.small.slots

    def ask(self, noise: Noise, clock: Clock) -> Plan:
        return self.small.ask(noise, clock)

    def log_prob(self, plan: Plan) -> Tensor:
        return self.small.log_prob(plan)


@dataclass(frozen=True)
class BySideStage:
    """The stage of a BySide policy: it looks at the images and hands them to the stage for their side."""

    small: PlanStage
    large: PlanStage
    limit_pixels: int

    @staticmethod
    def of(name: str, policy: BySide) -> "BySideStage":
        return BySideStage(PlanStage(name, policy.small), PlanStage(name, policy.large), policy.limit_pixels)

    @property
    def name(self) -> str:
        return self.small.name

    @property
    def policy(self) -> Policy:
        return self.small.policy

    @property
    def intensive(self) -> bool:
        return self.small.intensive

    @property
    def domain(self) -> str:
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
        """The chosen stage's trace with `large`, bool [B]: which stage it is."""
        stage = self.at(batch)
        trace = stage.sample(batch, noise, clock, intensity)
        return trace | {"large": torch.full_like(trace["op"][:, 0], stage is self.large, dtype=torch.bool)}

    def apply(self, batch: Batch, trace: Trace) -> Batch:
        return self.at(batch).apply(batch, _of_stage(trace))

    def describe(self, trace: Trace, row: int) -> str:
        """In words, by the stage that drew it."""
        stage = self.large if bool(trace["large"][row]) else self.small
        return stage.describe(_of_stage(trace), row)


def _of_stage(trace: Trace) -> Trace:
    return {name: part for name, part in trace.items() if name != "large"}
