"""A policy that was published in one version for small images and another for large ones."""

from dataclasses import dataclass

from torch import Tensor

from augury.core.noise import Noise
from augury.core.plan import Clock, Plan, Policy, Space


@dataclass(frozen=True)
class BySide:
    """`small` for images whose shorter side is below `limit_pixels`, otherwise `large`; `small` if there are no images."""

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
