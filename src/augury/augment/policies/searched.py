"""The space that AutoAugment searches, and the controller as a policy that draws from it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from augury.augment.policies.controller import (
    MAGNITUDES,
    PROBABILITIES,
    Controller,
    Learner,
    UpdateRule,
    adversarial_controller,
    autoaugment_controller,
)
from augury.augment.policies.file import PolicyEntry, PolicyRow, value_of
from augury.augment.policies.ladders import Magnitudes, ladder
from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.plan import Clock, Plan, Space, SpaceEntry

# Cubuk et al. 2019, table 6.
OPERATIONS = (
    "shear_x", "shear_y", "translate_x", "translate_y", "rotate", "auto_contrast", "invert", "equalize", "solarize",
    "posterize", "contrast", "color", "brightness", "sharpness", "cutout", "sample_pairing",
)  # fmt: skip


@dataclass(frozen=True)
class PolicySpace:
    """Policies of `sub_policies` x `slots` operations, each (operation, probability of 11, magnitude of 10).

    Without `probabilities`, an operation always fires (Adversarial AutoAugment). `magnitudes` names the ladder; levels are
    0 to 9 of its scale. Raises InputError for fewer than two operations and for operations that the ladder lacks.
    """

    operations: tuple[str, ...] = OPERATIONS
    magnitudes: Magnitudes = field(default_factory=lambda: ladder("tf"))
    sub_policies: int = 5
    slots: int = 2
    probabilities: bool = True

    def __post_init__(self) -> None:
        if len(set(self.operations)) < 2:
            raise InputError("operations: name at least two operations to choose from")
        for name in self.operations:
            self.magnitudes.entry(name)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of choices of every kind of decision."""
        return (len(self.operations), *((PROBABILITIES,) if self.probabilities else ()), MAGNITUDES)

    @property
    def decisions(self) -> int:
        return self.sub_policies * self.slots * len(self.sizes)

    @property
    def size(self) -> int:
        """The exact number of policies."""
        return math.prod(self.sizes) ** (self.sub_policies * self.slots)

    def controller(self, seed: int = 0) -> Controller:
        make = autoaugment_controller if self.probabilities else adversarial_controller
        return make(len(self.operations), sub_policies=self.sub_policies, per_sub_policy=self.slots, seed=seed)

    def uniform(self, noise: Noise) -> Tensor:
        """Uniform decisions int64 [N,D], as random search draws them."""
        sizes = torch.tensor(self.sizes * (self.sub_policies * self.slots), device=noise.key.device)
        return noise.integers(self.decisions, sizes)

    def decode(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Decisions int64 [N,D] as operation int64, probability and strength float32, [N,Q,S] each."""
        parts = actions.reshape(len(actions), self.sub_policies, self.slots, len(self.sizes))
        op, level = parts[..., 0], parts[..., -1]
        probability = parts[..., 1].to(torch.float32) / (PROBABILITIES - 1) if self.probabilities else torch.ones_like(op).float()
        return op, probability, level.to(torch.float32) / self.magnitudes.top

    def rows(self, actions: Sequence[int]) -> tuple[PolicyRow, ...]:
        """One policy's decisions as the sub-policies of a policy file."""
        op, probability, strength = (part[0] for part in self.decode(torch.tensor([list(actions)], device="cpu")))
        space = self.space
        return tuple(
            tuple(
                entry_of(space[int(op[q, s])], round(float(probability[q, s]), 6), float(strength[q, s])) for s in range(self.slots)
            )
            for q in range(self.sub_policies)
        )

    @property
    def space(self) -> Space:
        return Space(tuple(self.magnitudes.entry(name) for name in self.operations))


def entry_of(choice: SpaceEntry, probability: float, strength: float) -> PolicyEntry:
    """An entry of a space at a strength, as a policy file's. Parameters without a law of the space's stay drawn by the
    operation. Raises InputError for a law that is drawn from (a file holds one value)."""
    values, signed = {}, False
    for name, law in choice.laws.items():
        values[name], mirrored = value_of(choice.op.name, name, law, strength)
        signed = signed or mirrored
    return PolicyEntry(choice.op.name, probability, strength, values, signed, dict(choice.options))


@dataclass
class ControllerPolicy:
    """The controller as a policy: every image draws a whole policy and then one of its sub-policies.

    plan.choice int64 [B,D+1] holds the decisions and the sub-policy's index. log_prob covers the decisions, the sub-policy and
    which slots fired. `learner.update` makes rewarded decisions likelier.
    """

    policy_space: PolicySpace
    rule: UpdateRule = "ppo"
    lr: float = 3.5e-4
    seed: int = 0
    learner: Learner = field(init=False)

    def __post_init__(self) -> None:
        self.learner = Learner(self.policy_space.controller(self.seed), self.rule, self.lr)

    @property
    def space(self) -> Space:
        return self.policy_space.space

    @property
    def slots(self) -> int:
        return self.policy_space.slots

    def ask(self, noise: Noise, clock: Clock) -> Plan:
        actions = self.learner.sample(noise.fold("decisions"))
        chosen = noise.fold("sub-policy").integers(1, self.policy_space.sub_policies)
        op, probability, strength = self._of(actions, chosen)
        return Plan(op, strength, noise.fold("on").uniform(self.slots) < probability, torch.cat([actions, chosen], 1))

    def log_prob(self, plan: Plan) -> Tensor:
        actions, chosen = _choice_of(plan)
        _, probability, _ = self._of(actions, chosen)
        fired = torch.where(plan.on, probability, 1 - probability).log().sum(1)
        decided = self.learner.controller.likelihood(actions)[0].sum(1)
        return decided + fired - math.log(self.policy_space.sub_policies)

    def _of(self, actions: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Operation, probability and strength [B,S] of each row's sub-policy."""
        op, probability, strength = (
            part.gather(1, chosen[..., None].expand(-1, 1, self.slots))[:, 0] for part in self.policy_space.decode(actions)
        )
        return op, probability, strength


def _choice_of(plan: Plan) -> tuple[Tensor, Tensor]:
    if plan.choice is None:
        raise ValueError("log_prob needs the plan's choice, the controller's decisions")
    return plan.choice[:, :-1], plan.choice[:, -1:]
