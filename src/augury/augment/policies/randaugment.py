"""RandAugment: a few operations drawn uniformly, all at one strength."""

import math
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import Tensor

from augury.augment.build import op
from augury.core.laws import Ladder, Law, Linear
from augury.core.noise import Noise
from augury.core.options import Interval
from augury.core.plan import Choice, Clock, Plan, Policy, Space
from augury.core.registry import register

BINS = 31


@dataclass(frozen=True)
class Uniformly:
    """`slots` operations per image, uniform over `space` with replacement, all at one `strength` and always on."""

    space: Space
    slots: int
    strength: float

    def ask(self, noise: Noise, clock: Clock) -> Plan:
        chosen = noise.integers(self.slots, len(self.space))
        strength = torch.full_like(chosen, self.strength, dtype=torch.float32)
        return Plan(chosen, strength, torch.ones_like(chosen, dtype=torch.bool))

    def log_prob(self, plan: Plan) -> Tensor:
        each = -math.log(len(self.space)) * self.slots
        return torch.full((len(plan.op),), each, device=plan.op.device)

    def tell(self, plan: Plan, reward: Tensor) -> None:
        """Learns nothing."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Has no state."""


@register("policy", "randaugment", source="Cubuk et al. 2020 (arXiv:1909.13719), section 3; torchvision RandAugment")
def randaugment(*, num_ops: Annotated[int, Interval(1, 16)] = 2, magnitude: Annotated[float, Interval(0, 30)] = 9) -> Policy:
    """`num_ops` operations per image, drawn uniformly with replacement, at `magnitude` on a scale from 0 to 30.

    Operations and magnitudes are torchvision's (14 operations, 31 bins: magnitude 9 rotates by 9 degrees), which draws
    one set of operations for a whole batch; here every image draws its own.
    """
    return Uniformly(Space(tuple(Choice(op(name), laws) for name, laws in _entries())), num_ops, magnitude / (BINS - 1))


def _entries() -> list[tuple[str, dict[str, Law]]]:
    enhance: Law = Linear(1.0, 1.9, signed=True, centre=1.0)
    bits = tuple(float(8 - round(i / ((BINS - 1) / 4))) for i in range(BINS))
    return [
        ("identity", {}),
        ("shear_x", {"slope": Linear(0, 0.3, signed=True)}),
        ("shear_y", {"slope": Linear(0, 0.3, signed=True)}),
        ("translate_x", {"fraction": Linear(0, 150 / 331, signed=True)}),
        ("translate_y", {"fraction": Linear(0, 150 / 331, signed=True)}),
        ("rotate", {"degrees": Linear(0, 30, signed=True)}),
        ("brightness", {"factor": enhance}),
        ("color", {"factor": enhance}),
        ("contrast", {"factor": enhance}),
        ("sharpness", {"factor": enhance}),
        ("posterize", {"bits": Ladder(bits)}),
        ("solarize", {"threshold": Linear(255, 0)}),
        ("auto_contrast", {}),
        ("equalize", {}),
    ]
