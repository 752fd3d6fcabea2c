"""The distributions of policies that do not learn: operations drawn uniformly, or sub-policies from a table."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from augury.core.devices import constant
from augury.core.noise import Noise
from augury.core.plan import Clock, Plan, Space


@dataclass(frozen=True)
class UniformPolicy:
    """`slots` operations per image, uniform over `space` with replacement.

    strengths: one is drawn per slot, uniformly. p: each slot's probability of firing. spread: standard deviation of a normal
    jitter of the strength, clipped to [0, most]; log_prob ignores the jitter.
    """

    space: Space
    slots: int
    strengths: tuple[float, ...]
    p: float = 1.0
    spread: float = 0.0
    most: float = 1.0

    def ask(self, noise: Noise, clock: Clock) -> Plan:
        chosen = noise.integers(self.slots, len(self.space))
        if len(self.strengths) == 1:
            strength = torch.full_like(chosen, self.strengths[0], dtype=torch.float32)
        else:
            table = constant(self.strengths, torch.float32, chosen.device)
            strength = table[noise.fold("strength").integers(self.slots, len(self.strengths))]
        if self.spread:
            strength = _jittered(strength, self.spread, self.most, noise.fold("spread").uniform(self.slots))
        on = torch.ones_like(chosen, dtype=torch.bool) if self.p == 1 else noise.fold("on").uniform(self.slots) < self.p
        return Plan(chosen, strength, on)

    def log_prob(self, plan: Plan) -> Tensor:
        each = -math.log(len(self.space)) - math.log(len(self.strengths))
        return torch.full((len(plan.op),), each * self.slots, dtype=torch.float32, device=plan.op.device) + _fired(plan.on, self.p)


def _jittered(strength: Tensor, spread: float, most: float, u: Tensor) -> Tensor:
    """Strengths with normal jitter of deviation `spread`, clipped to [0, most]."""
    # In float64: its last bits may depend on the batch length, and rounding to float32 drops them.
    normal = torch.special.ndtri(u.double().clamp(2.0**-25, 1 - 2.0**-25))
    return (strength + spread * normal.to(torch.float32)).clamp(0, most)


def _fired(on: Tensor, p: float) -> Tensor:
    """Log probability of which slots fired, [B]."""
    if p in (0, 1):
        return torch.zeros(len(on), dtype=torch.float32, device=on.device)
    return torch.where(on, math.log(p), math.log(1 - p)).sum(1)


@dataclass(frozen=True)
class SubPolicyStep:
    """One operation of a sub-policy: its index in the space, its probability and its strength."""

    op: int
    p: float
    strength: float


@dataclass(frozen=True)
class SubPolicies:
    """Draws one sub-policy of `table` uniformly per image and applies its operations in order, each with its own probability.

    spread: standard deviation of a normal jitter of the strengths, clipped to [0, most]; log_prob ignores the jitter.
    numbers: op, p and strength of the table's steps, [Q,S] each.
    """

    space: Space
    table: tuple[tuple[SubPolicyStep, ...], ...]
    spread: float = 0.0
    most: float = 1.0
    slots: int = field(init=False)
    numbers: dict[str, tuple[tuple[float, ...], ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "slots", max(1, max(map(len, self.table), default=1)))
        # Shorter sub-policies are padded with steps that never fire.
        padded = [(*row, *[SubPolicyStep(0, 0.0, 0.0)] * (self.slots - len(row))) for row in self.table]
        numbers = {part: tuple(tuple(getattr(step, part) for step in row) for row in padded) for part in ("op", "p", "strength")}
        object.__setattr__(self, "numbers", numbers)

    def ask(self, noise: Noise, clock: Clock) -> Plan:
        chosen = noise.integers(1, len(self.table))[:, 0]
        op, chance, strength = (part[chosen] for part in self._columns(chosen.device))
        if self.spread:
            strength = _jittered(strength, self.spread, self.most, noise.fold("spread").uniform(self.slots))
        return Plan(op, strength, noise.fold("on").uniform(self.slots) < chance, chosen)

    def log_prob(self, plan: Plan) -> Tensor:
        if plan.choice is None:
            raise ValueError("log_prob needs the plan's choice, the index of the sub-policy")
        chance = self._columns(plan.on.device)[1][plan.choice]
        each = torch.where(plan.on, chance, 1 - chance).log()
        return each.sum(1) - math.log(len(self.table))

    def _columns(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """op int64, chance and strength float32 [Q,S]; copied to the device once."""
        return (
            constant(self.numbers["op"], torch.int64, device),
            constant(self.numbers["p"], torch.float32, device),
            constant(self.numbers["strength"], torch.float32, device),
        )


@dataclass(frozen=True)
class FixedPlan:
    """A policy with given `actions`, int64 [B,S]; nothing is drawn."""

    space: Space
    actions: Tensor

    @property
    def slots(self) -> int:
        return self.actions.shape[1]

    def ask(self, noise: Noise, clock: Clock) -> Plan:
        on = torch.ones_like(self.actions, dtype=torch.bool)
        return Plan(self.actions, on.to(torch.float32), on)

    def log_prob(self, plan: Plan) -> Tensor:
        return torch.zeros(len(plan.op), dtype=torch.float32, device=plan.op.device)
