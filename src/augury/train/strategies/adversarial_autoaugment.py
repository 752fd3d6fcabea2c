"""Adversarial AutoAugment: a controller makes the policies that are hardest for the network while it trains."""

import math
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from augury.augment.policies.controller import Learner, z_scores
from augury.augment.policies.file import PolicyFile, write_policy
from augury.augment.policies.ladders import ladder
from augury.augment.policies.searched import PolicySpace
from augury.augment.stages.plan import PlanStage
from augury.core.devices import constant
from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.options import Interval
from augury.core.plan import Clock, Plan, Space
from augury.core.processes import process_count, summed
from augury.core.registry import register
from augury.core.targets import Targets
from augury.train.strategies.strategy import Step, Strategy, Views

Kind = Literal["learned", "random", "fixed"]


@dataclass
class Current:
    """The policy that one copy of the batch gets in this epoch: a sub-policy drawn uniformly for every image.

    Decisions change from epoch to epoch; until the first are set every image stays as it is.
    """

    all: PolicySpace
    decisions: tuple[int, ...] | None = None
    space: Space = field(init=False)

    def __post_init__(self) -> None:
        self.space = self.all.space

    @property
    def slots(self) -> int:
        return self.all.slots

    def ask(self, noise: Noise, clock: Clock) -> Plan:
        chosen = noise.integers(1, self.all.sub_policies)[:, 0]
        if self.decisions is None:
            op = torch.zeros(len(noise), self.slots, dtype=torch.int64, device=chosen.device)
            return Plan(op, torch.zeros_like(op, dtype=torch.float32), torch.zeros_like(op, dtype=torch.bool), chosen)
        table = constant(self.decisions, torch.int64, chosen.device)
        op, _, strength = (part[0] for part in self.all.decode(table[None]))
        return Plan(op[chosen], strength[chosen], torch.ones_like(op[chosen], dtype=torch.bool), chosen)

    def log_prob(self, plan: Plan) -> Tensor:
        """Of the sub-policy; the decisions are the controller's."""
        return torch.full((len(plan.op),), -math.log(self.all.sub_policies), device=plan.op.device)


@dataclass
class AdversarialAutoAugment(Strategy):
    """See `adversarial_autoaugment`. stages: one per policy, which the host puts before `normalize` in a pipeline each."""

    policies: int
    policy: Kind
    share_base: bool
    searched: PolicySpace
    lr: float
    entropy_weight: float
    stages: tuple[Any, ...] = field(init=False)
    seed: int = 0
    learner: Learner = field(init=False)
    history: list[dict[str, Any]] = field(default_factory=list)
    losses: Tensor | None = None
    steps: int = 0

    def __post_init__(self) -> None:
        fixed = self.policy == "fixed"
        self.stages = tuple(
            None if fixed else PlanStage(f"adversarial{number}", Current(self.searched)) for number in range(self.policies)
        )
        self.seeded(0)

    def seeded(self, seed: int) -> None:
        """Initial weights and first policies of a training's seed; called by the host before the first step."""
        self.seed = seed
        self.learner = Learner(
            self.searched.controller(seed), rule="reinforce", lr=self.lr, entropy_weight=self.entropy_weight
        )  # fmt: skip
        self.history = []
        self._draw(0)

    def program(self, clock: Clock) -> Any:
        """Every epoch has its own policies, so a step recorded in one is not the next one's."""
        return None if self.policy == "fixed" else clock.epoch

    def __call__(self, model: nn.Module, views: Views, *, program: Any = None, turn: int = 0) -> Step:
        copies = [views(0 if self.share_base else number, number) for number in range(self.policies)]
        targets = [copy.targets for copy in copies if copy.targets is not None]
        if len(targets) < len(copies):
            raise InputError("strategy: adversarial_autoaugment needs labels in its `train` stream")
        logits = model(torch.cat([copy.images for copy in copies]))
        joined = Targets.cat(targets)
        losses = joined.loss(logits)
        by_policy = losses.detach().reshape(self.policies, len(copies[0])).mean(1)
        self.losses = by_policy if self.losses is None else self.losses + by_policy
        self.steps += 1
        each = losses.detach().reshape(self.policies, len(copies[0])).mean(0)
        return Step(losses.mean(), {"hardest_policy": by_policy.amax(), "easiest_policy": by_policy.amin()}, each)

    def end_epoch(self, clock: Clock) -> None:
        """One controller step on the epoch's mean loss of each policy, z-scored; then the next epoch's policies."""
        if self.losses is None or self.policy == "fixed":
            return
        mean = (summed(self.losses / self.steps) / process_count()).double().cpu()
        self.losses, self.steps = None, 0
        self.history[-1]["losses"] = [round(value, 6) for value in mean.tolist()]
        if self.policy == "learned":
            self.learner.update(torch.tensor(self.history[-1]["decisions"]), z_scores(mean.float()))
        if clock.epoch < clock.epochs:
            self._draw(clock.epoch)

    def _draw(self, epoch: int) -> None:
        """This epoch's policies: the controller's, or uniform ones; the same on every rank, since draws have addresses."""
        if self.policy == "fixed":
            return
        noise = Noise.of(self.seed, torch.arange(self.policies), epoch=epoch).fold("adversarial_autoaugment")
        drawn = self.learner.sample(noise) if self.policy == "learned" else self.searched.uniform(noise)
        self.history.append({"epoch": epoch, "decisions": drawn.tolist()})
        self._take_up()

    def _take_up(self) -> None:
        """Put the newest policies into their stages."""
        for stage, decisions in zip(self.stages, self.history[-1]["decisions"], strict=True):
            stage.policy.decisions = tuple(decisions)

    def files(self, clock: Clock) -> dict[str, str]:
        """policies.yaml: every epoch's policies as a schedule, to be replayed by name on any network and data."""
        done = [each for each in self.history if "losses" in each]
        if not done:
            return {}
        periods = tuple(
            ((each["epoch"] + 1) / clock.epochs, tuple(row for one in each["decisions"] for row in self.searched.rows(one)))
            for each in done
        )
        periods = (*periods[:-1], (1.0, periods[-1][1]))
        provenance = {"method": "adversarial_autoaugment", "policy": self.policy, "seed": self.seed, "policies": self.policies}
        text = write_policy(PolicyFile("adversarial_autoaugment", periods, "found by a training of Augury", provenance))
        return {"policies.yaml": text}

    def state_dict(self) -> dict[str, Any]:
        return {
            "history": self.history, "seed": self.seed, "learner": self.learner.state_dict(),
            "losses": self.losses, "steps": self.steps,
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seeded(state["seed"])
        self.history = state["history"]
        self.learner.load_state_dict(state["learner"])
        # Of an epoch that was left in the middle; older checkpoints were all written at the end of one.
        self.losses, self.steps = state.get("losses"), state.get("steps", 0)
        if self.history:
            self._take_up()


@register("strategy", "adversarial_autoaugment", source="Zhang et al. 2020 (Adversarial AutoAugment, arXiv:1912.11188), section 3")
def adversarial_autoaugment(
    *,
    policies: Annotated[int, Interval(1, 64)] = 8,
    policy: Kind = "learned",
    share_base: bool = False,
    sub_policies: Annotated[int, Interval(1, 25)] = 5,
    lr: Annotated[float, Interval(0, 1)] = 3.5e-4,
    entropy: Annotated[float, Interval(0)] = 1e-5,
) -> Strategy:
    """Every image once per policy in a step; the policies come from an LSTM controller that is rewarded for high loss.

    The training's augmentation is the base of every copy; the policy is put after its pixel stages, before `normalize`, so
    that `crop+flip+cutout` is the paper's order. Each policy has `sub_policies` of two operations out of 16 at 10
    magnitudes, of which every image draws one. After an epoch the policies' mean losses, z-scored among them, are the
    reward of one REINFORCE step with Adam (`lr`) and an `entropy` bonus. policy=random draws policies uniformly, policy=fixed
    has the base alone: the paper's ablations. share_base: whether the copies share the base's draw; they do not by default,
    since the published gain of `fixed` needs copies that differ. The learning rate of the network is not rescaled.

    A run leaves policies.yaml: all epochs' policies as a schedule that `--augment policies.yaml` replays (policy transfer).
    Raises InputError for one learned policy, whose reward would always be 0.
    """
    if policies == 1 and policy == "learned":
        raise InputError("--strategy adversarial_autoaugment: policies=1 has none to be compared with; take 2 or policy=random")
    magnitudes = ladder("adversarial")
    searched = PolicySpace(magnitudes=magnitudes, sub_policies=sub_policies, probabilities=False)
    return AdversarialAutoAugment(policies, policy, share_base, searched, lr, entropy)
