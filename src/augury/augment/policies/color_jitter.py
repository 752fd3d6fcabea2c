"""Color jitter: brightness, contrast, saturation and hue, in a random order for every image."""

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from augury.augment.ops.build import op
from augury.core.laws import Uniform
from augury.core.noise import Noise
from augury.core.options import Interval
from augury.core.plan import Clock, Plan, Policy, Space, SpaceEntry
from augury.core.registry import register


@dataclass(frozen=True)
class RandomOrder:
    """Every entry of `space` once, in a random order."""

    space: Space

    @property
    def slots(self) -> int:
        return len(self.space)

    def ask(self, noise: Noise, clock: Clock) -> Plan:
        order = noise.bits(self.slots).argsort(1)
        return Plan(order, torch.ones_like(order, dtype=torch.float32), torch.ones_like(order, dtype=torch.bool))

    def log_prob(self, plan: Plan) -> Tensor:
        return torch.full((len(plan.op),), -math.lgamma(self.slots + 1), dtype=torch.float32, device=plan.op.device)


Amount = Annotated[float, Interval(0, 1)]


@register("policy", "color_jitter", source="Chen et al. 2020 (SimCLR, arXiv:2002.05709), appendix A; torchvision ColorJitter")
def color_jitter(
    *,
    brightness: Amount = 0.4,
    contrast: Amount = 0.4,
    saturation: Amount = 0.4,
    hue: Annotated[float, Interval(0, 0.5)] = 0.1,
) -> Policy:
    """Brightness, contrast and saturation by factors from 1 - x to 1 + x, hue by up to `hue` turns, in a drawn order."""
    factors = (("brightness", brightness), ("contrast", contrast), ("color", saturation))
    entries = [SpaceEntry(op(name), {"factor": Uniform(1 - x, 1 + x)}) for name, x in factors if x]
    if hue:
        entries.append(SpaceEntry(op("hue"), {"shift": Uniform(-hue, hue)}))
    return RandomOrder(Space(tuple(entries or [SpaceEntry(op("identity"))])))
