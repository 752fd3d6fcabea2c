"""Space, Plan, Policy: the operations a policy chooses from, what it chose for a batch, and the policy itself."""

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
    """The progress of a training: epoch (0-based) of `epochs`, optimiser steps since the start.

    intensity in [0, 1]: how much intensive stages still do; 0 during refinement. fading: what an intensity below 1 weakens:
    the operations' strength (their probability of firing where they have none), or always the probability. seed: the
    training's seed, for strategies that decide something once per step.
    """

    epoch: int = 0
    epochs: int = 1
    step: int = 0
    intensity: float = 1.0
    seed: int = 0
    fading: Fading = "strength"

    @property
    def fraction(self) -> float:
        """The finished fraction of the training, in [0, 1)."""
        return self.epoch / max(1, self.epochs)


@dataclass(frozen=True)
class SpaceEntry:
    """One entry of a space: an operation and the laws of its parameters (by default the operation's own).

    options: the options the operation was made with, so that the entry can be saved.
    """

    op: Op
    laws: Mapping[str, Law] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def law(self, parameter: str) -> Law:
        return self.laws.get(parameter, self.op.parameters[parameter].law)


@dataclass(frozen=True)
class Space:
    """The operations to choose from, in order; an operation may occur several times with different laws.

    distinct: every operation once, with the indices of its entries. parameters, uniforms: the largest number of parameters
    and of uniform numbers that any operation has. rgb: the names of those that take grey images or red, green and blue alone.
    """

    entries: tuple[SpaceEntry, ...]
    distinct: tuple[tuple[Op, tuple[int, ...]], ...] = field(init=False, repr=False, compare=False)
    parameters: int = field(init=False, repr=False, compare=False)
    uniforms: int = field(init=False, repr=False, compare=False)
    rgb: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", max((len(e.op.parameters) for e in self.entries), default=0))
        object.__setattr__(self, "uniforms", max((e.op.uniforms for e in self.entries), default=0))
        object.__setattr__(self, "rgb", tuple(dict.fromkeys(e.op.name for e in self.entries if e.op.rgb)))
        found: dict[int, list[int]] = {}
        for index, entry in enumerate(self.entries):
            found.setdefault(id(entry.op), []).append(index)
        object.__setattr__(self, "distinct", tuple((self.entries[rows[0]].op, tuple(rows)) for rows in found.values()))

    def __len__(self) -> int:
        return len(self.entries)

    def faded(self, intensity: float) -> "Space":
        """The space with weakened laws for the operations whose strength can be faded (see `Op.faded`)."""
        return Space(tuple(replace(e, laws={**e.laws, **e.op.faded(intensity)}) if e.op.faded else e for e in self.entries))

    def __getitem__(self, index: int) -> SpaceEntry:
        return self.entries[index]


@dataclass(frozen=True)
class Plan:
    """A policy's decisions for B images and S slots (operations applied one after another).

    op: int64 [B,S], index into the space. strength: float32 [B,S] in [0,1]. on: bool [B,S], whether the slot fires.
    choice: the policy's underlying decision (a sub-policy's index, a controller's actions), needed by its log_prob.
    """

    op: Tensor
    strength: Tensor
    on: Tensor
    choice: Tensor | None = None


class Policy(Protocol):
    """Chooses operations and strengths from a distribution of its own.

    ask draws a plan from noise. log_prob(plan) is float [B]. A policy has no mutable state: what learns which operations to
    draw is a strategy, whose `stages` hold the policy and whose state is saved in checkpoints.
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
    """The policy of a single operation: one slot, the operation's own laws, firing with probability p."""

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
