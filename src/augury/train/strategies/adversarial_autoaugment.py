"""Adversarial AutoAugment: a controller learns the policies that are hardest for the network while it trains."""

import copy
import math
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from augury.augment.policies.controller import Learner, z_scores
from augury.augment.policies.file import PolicyFile, write_policy
from augury.augment.policies.ladders import ladder
from augury.augment.policies.randaugment import Channels, space_for
from augury.augment.policies.searched import OPERATIONS, PolicySpace
from augury.augment.stages.plan import PlanStage
from augury.core.devices import constant
from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.options import Interval
from augury.core.plan import Clock, Plan, Space
from augury.core.processes import process_count, summed
from augury.core.registry import register
from augury.core.stage import Stage
from augury.core.targets import Targets
from augury.train.strategies.strategy import Seen, Step, Strategy, Views

Kind = Literal["learned", "random", "fixed"]
REMEDY = "adversarial_autoaugment(channels=any) leaves such operations out"


@dataclass
class Current:
    """The policy of one copy of the batch in this epoch: a sub-policy drawn uniformly for every image.

    Decisions change from epoch to epoch; until the first are set, images are left unchanged.
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
        """The log probability of the sub-policy alone; the decisions are the controller's."""
        return torch.full((len(plan.op),), -math.log(self.all.sub_policies), dtype=torch.float32, device=plan.op.device)


@dataclass
class AdversarialAutoAugment(Strategy):
    """See `adversarial_autoaugment`. current: the policies, none if `policy` is fixed. stages: one for each policy, which the host
    puts before `normalize` in a separate pipeline."""

    policies: int
    policy: Kind
    share_base: bool
    searched: PolicySpace
    lr: float
    entropy_weight: float
    stages: tuple[Stage | None, ...] = field(init=False)
    seen: tuple[Seen, ...] = field(init=False)
    current: tuple[Current, ...] = ()
    seed: int = 0
    learner: Learner = field(init=False)
    history: list[dict[str, Any]] = field(default_factory=list)
    losses: Tensor | None = None
    steps: int = 0
    ended: int = -1

    def __post_init__(self) -> None:
        if self.policy != "fixed":
            self.current = tuple(Current(self.searched) for _ in range(self.policies))
            self.stages = tuple(PlanStage(f"adversarial{k}", each, remedy=REMEDY) for k, each in enumerate(self.current))
        else:
            self.stages = (None,) * self.policies
        self.seen = tuple(Seen(f"policy {number + 1}", 0 if self.share_base else number, number) for number in range(self.policies))
        self.seeded(0)

    def seeded(self, seed: int) -> None:
        """Set the initial weights and first policies of a training's seed; called by the host before the first step."""
        self.seed = seed
        self.learner = Learner(
            self.searched.controller(seed), rule="reinforce", lr=self.lr, entropy_weight=self.entropy_weight
        )  # fmt: skip
        self.history = []
        self._draw(0)

    def program(self, clock: Clock) -> Hashable:
        """The epoch: each has its own policies, so a step captured in one is not valid in the next."""
        return None if self.policy == "fixed" else clock.epoch

    def __call__(self, model: nn.Module, views: Views, *, program: Hashable = None, turn: int = 0) -> Step:
        copies = [views(each.view, each.pipeline) for each in self.seen]
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
        """Update the controller once on the policies' mean losses in the epoch, z-scored; then draw the next epoch's policies."""
        self.ended = clock.epoch - 1
        if self.losses is None or self.policy == "fixed":
            return
        mean = (summed(self.losses / self.steps) / process_count()).double().cpu()
        self.losses, self.steps = None, 0
        self.history[-1]["losses"] = _rounded(mean)
        if self.policy == "learned":
            decisions, rewards = torch.tensor(self.history[-1]["decisions"]), z_scores(mean.float())
            self.history[-1] |= {"rewards": _rounded(rewards), **self._controller(decisions)}
            self.learner.update(decisions, rewards)
        if clock.epoch < clock.epochs:
            self._draw(clock.epoch)

    @torch.no_grad()
    def _controller(self, decisions: Tensor) -> dict[str, Any]:
        """The controller's state when it drew these policies, int64 [M,D], before it learns from them; for `epoch_logs`."""
        log_prob, entropy = self.learner.controller.likelihood(decisions)
        operations, magnitudes = self.learner.controller.probabilities(decisions)
        return {
            "log_probabilities": _rounded(log_prob.sum(1)),
            "entropy": round(float(entropy.sum(1).mean()), 6),
            "operations": dict(zip(self.searched.operations, _rounded(operations), strict=True)),
            "magnitudes": _rounded(magnitudes),
        }

    def epoch_logs(self) -> dict[str, Any]:
        """Under `controller`, for the epoch that has ended: its policies' losses in the order of `policies.yaml`; if they are
        learned, also their rewards (z-scores), their log-probabilities and the controller's entropy (mean over the policies)
        in nats, and the probabilities of operations and of magnitudes 0 .. 9, averaged over all decisions."""
        done = next((each for each in self.history if "losses" in each and each["epoch"] == self.ended), None)
        return {} if done is None else {"controller": {k: v for k, v in done.items() if k not in ("epoch", "decisions")}}

    def at_epoch(self, epoch: int) -> None:
        found = next((each for each in self.history if each["epoch"] == epoch), None)
        if found is not None:
            self._take_up(found)

    def _draw(self, epoch: int) -> None:
        """Draw this epoch's policies from the controller, or uniformly; the same on every rank, since all use the same noise."""
        if self.policy == "fixed":
            return
        noise = Noise.of(self.seed, torch.arange(self.policies), epoch=epoch).fold("adversarial_autoaugment")
        drawn = self.learner.sample(noise) if self.policy == "learned" else self.searched.uniform(noise)
        self.history.append({"epoch": epoch, "decisions": drawn.tolist()})
        self._take_up(self.history[-1])

    def _take_up(self, epoch: dict[str, Any]) -> None:
        """Put an epoch's policies into their stages."""
        for current, decisions in zip(self.current, epoch["decisions"], strict=True):
            current.decisions = tuple(decisions)

    def files(self, clock: Clock) -> dict[str, str]:
        """policies.yaml: every epoch's policies as a schedule that can be replayed on any network and data."""
        done = [each for each in self.history if "losses" in each]
        if not done:
            return {}
        periods = tuple(
            ((each["epoch"] + 1) / clock.epochs, tuple(row for one in each["decisions"] for row in self.searched.rows(one)))
            for each in done
        )
        periods = (*periods[:-1], (1.0, periods[-1][1]))
        provenance = {"method": "adversarial_autoaugment", "policy": self.policy, "seed": self.seed, "policies": self.policies}
        text = write_policy(PolicyFile("adversarial_autoaugment", periods, "found during training with Augury", provenance))
        return {"policies.yaml": text}

    def state_dict(self) -> dict[str, Any]:
        state = {
            "history": self.history, "seed": self.seed, "learner": self.learner.state_dict(),
            "losses": self.losses, "steps": self.steps,
        }  # fmt: skip
        return copy.deepcopy(state)  # training goes on in place

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seeded(state["seed"])
        self.history = copy.deepcopy(state["history"])
        self.learner.load_state_dict(state["learner"])
        # Those of an unfinished epoch; older checkpoints lack them, as they were only written at the end of an epoch.
        self.losses, self.steps = state.get("losses"), state.get("steps", 0)
        if self.history:
            self._take_up(self.history[-1])


def _rounded(values: Tensor) -> list[float]:
    return [round(value, 6) for value in values.tolist()]


@register("strategy", "adversarial_autoaugment", source="Zhang et al. 2020 (Adversarial AutoAugment, arXiv:1912.11188), section 3")
def adversarial_autoaugment(
    *,
    policies: Annotated[int, Interval(1, 64)] = 8,
    policy: Kind = "learned",
    share_base: bool = False,
    sub_policies: Annotated[int, Interval(1, 25)] = 5,
    lr: Annotated[float, Interval(0, 1)] = 3.5e-4,
    entropy: Annotated[float, Interval(0)] = 1e-5,
    fill: Annotated[int, Interval(0, 255)] = 128,
    channels: Channels = "rgb",
) -> Strategy:
    """Every step uses each image once per policy; the policies come from an LSTM controller that is rewarded for high loss.

    The training's augmentation is the base of every copy; the policy follows its pixel stages, before `normalize`, so that
    `crop+flip+cutout` is the paper's order. Each policy has `sub_policies` sub-policies of two operations out of 16 at 10
    magnitudes; every image draws one of them. After an epoch the policies' mean losses, z-scored over the policies, are the
    rewards of one REINFORCE step with Adam (`lr`) and an `entropy` bonus. The paper's ablations are policy=random, uniform
    policies, and policy=fixed, the base alone. share_base: whether the copies share the base's draw; they do not by default,
    since the published gain of `fixed` needs copies that differ. The learning rate of the network is not rescaled.

    fill: the grey level with which shears, shifts, rotations and Cutout inside a policy fill. The paper refers to AutoAugment,
    whose code fills with 128 for photographs and with the data's mean colour for CIFAR (within 14 levels of 128 for CIFAR-10);
    a public re-implementation fills with black (0). With channels=any, operations on red, green and blue (color, contrast) are
    left out, so that images may have up to 16 channels.

    A run saves policies.yaml: all epochs' policies as a schedule that `--augment policies.yaml` replays (policy transfer).
    Raises InputError for a single learned policy, whose reward would always be 0.
    """
    if policies == 1 and policy == "learned":
        raise InputError("--strategy adversarial_autoaugment: policies=1 has no reward to learn from; use 2 or policy=random")
    magnitudes = ladder("adversarial")
    magnitudes = replace(magnitudes, fill=fill)
    entries = space_for(channels, map(magnitudes.entry, OPERATIONS)).entries
    searched = PolicySpace(tuple(entry.op.name for entry in entries), magnitudes, sub_policies, probabilities=False)
    return AdversarialAutoAugment(policies, policy, share_base, searched, lr, entropy)
