"""Space, Plan, Policy: what a policy chooses from, what it chose, and the policy itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from augury.core.laws import Law
from augury.core.noise import Noise
from augury.core.op import Op

Fading = Literal["strength", "chance"]


@dataclass(frozen=True)
class Clock:
    """Where a training is: epoch (0-based) of `epochs`, optimiser step since the start.

    intensity in [0, 1]: how much is left of intensive stages; 0 while a training is refined. fading: what it weakens, the
    operations' own strength where they have one and else their chance to fire, or every chance. seed: the training's,
    for what a strategy decides for a whole step.
    """

    epoch: int = 0
    epochs: int = 1
    step: int = 0
    intensity: float = 1.0
    seed: int = 0
    fading: Fading = "strength"

    @property
    def fraction(self) -> float:
        """How much of the training has passed, in [0, 1)."""
        return self.epoch / max(1, self.epochs)


@dataclass(frozen=True)
class SpaceEntry:
    """One entry of a space: an operation, with the laws a strength drives (the operation's own where none are given).

    options: the fixed options the operation was made with, so that the entry can be written down.
    """

    op: Op
    laws: Mapping[str, Law] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def law(self, parameter: str) -> Law:
        return self.laws.get(parameter, self.op.parameters[parameter].law)


@dataclass(frozen=True)
class Space:
    """An ordered choice of operations; the same operation may stand in it again with other laws.

    distinct: every operation once, with the indices of its entries. parameters, uniforms: the most that an operation has,
    and uses of uniform numbers.
    """

    entries: tuple[SpaceEntry, ...]
    distinct: tuple[tuple[Op, tuple[int, ...]], ...] = field(init=False, repr=False, compare=False)
    parameters: int = field(init=False, repr=False, compare=False)
    uniforms: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", max((len(e.op.parameters) for e in self.entries), default=0))
        object.__setattr__(self, "uniforms", max((e.op.uniforms for e in self.entries), default=0))
        found: dict[int, list[int]] = {}
        for index, entry in enumerate(self.entries):
            found.setdefault(id(entry.op), []).append(index)
        object.__setattr__(self, "distinct", tuple((self.entries[rows[0]].op, tuple(rows)) for rows in found.values()))

    def __len__(self) -> int:
        return len(self.entries)

    def faded(self, intensity: float) -> "Space":
        """The space with the laws of those operations weakened that have a strength to fade (see `Op.faded`)."""
        return Space(tuple(replace(e, laws={**e.laws, **e.op.faded(intensity)}) if e.op.faded else e for e in self.entries))

    def __getitem__(self, index: int) -> SpaceEntry:
        return self.entries[index]


@dataclass(frozen=True)
class Plan:
    """What a policy decided for a batch of B in S slots.

    op: int64 [B,S], index into the space. strength: float32 [B,S] in [0,1]. on: bool [B,S], whether the slot fires.
    choice: the policy's own decision (a sub-policy's number, a controller's actions), for its log_prob.
    """

    op: Tensor
    strength: Tensor
    on: Tensor
    choice: Tensor | None = None


class Policy(Protocol):
    """Chooses operations and strengths; owns its distribution.

    ask draws a plan from addressed noise. log_prob(plan) is float [B]. It holds nothing that changes while it is used: what
    learns which operations to draw is a strategy, whose `stages` hold the policy and whose state hosts keep.
    """

    @property
    def space(self) -> Space:
        """What it chooses from."""
        ...

    @property
    def slots(self) -> int:
        """How many operations an image gets, one after another."""
        ...

    def ask(self, noise: Noise, clock: Clock) -> Plan:
        """A plan for the images of `noise`, a row for each."""
        ...

    def log_prob(self, plan: Plan) -> Tensor:
        """The log probability of each image's plan, float [B]."""
        ...


@dataclass(frozen=True)
class Single:
    """The policy of an operation that stands alone: one slot, its own laws, firing with probability p."""

    entry: SpaceEntry
    p: float = 1.0

    @property
    def space(self) -> Space:
        return Space((self.entry,))

    @property
    def slots(self) -> int:
        return 1

    def ask(self, noise: Noise, clock: Clock) -> Plan:
        on = noise.uniform(1) < self.p
        return Plan(torch.zeros_like(on, dtype=torch.int64), torch.ones_like(on, dtype=torch.float32), on)

    def log_prob(self, plan: Plan) -> Tensor:
        return torch.where(plan.on, self.p, 1 - self.p).log().sum(1)
