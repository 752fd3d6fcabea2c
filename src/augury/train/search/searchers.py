"""Searchers, which propose children: random search, a fixed list such as a grid, and a controller that learns."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch

from augury.augment.policies.controller import Baseline, Learner, UpdateRule, z_scores
from augury.augment.policies.searched import PolicySpace
from augury.core.noise import Noise
from augury.train.search.outcome import Decisions, Outcome, Report
from augury.train.search.spaces import SearchSpace


class Searcher(Protocol):
    """round_size: children proposed before results are reported; None if the searcher does not learn. ask: the decisions of
    children first .. first + count - 1, or of fewer if none are left. tell: reports their outcomes, in that order. A searcher is
    a pure function of its seed and of the reported outcomes, so that replaying a journal restores it. report: a function that
    may end a child early, or None."""

    @property
    def round_size(self) -> int | None: ...

    def ask(self, first: int, count: int) -> list[Decisions]: ...
    def tell(self, outcomes: Sequence[Outcome]) -> None: ...
    def report(self, number: int) -> Report | None: ...


@dataclass
class RandomSearch:
    """Random search: every child is drawn uniformly from the space, whatever the results of the others."""

    space: SearchSpace
    seed: int
    round_size: int | None = None

    def ask(self, first: int, count: int) -> list[Decisions]:
        noises = (Noise.of(self.seed, torch.tensor([n])).fold("random search") for n in range(first, first + count))
        return [self.space.uniform(noise, first + k) for k, noise in enumerate(noises)]

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Ignores the outcomes."""

    def report(self, number: int) -> Report | None:
        return None


@dataclass
class GridSearch:
    """A fixed list of candidates, such as a grid."""

    candidates: Sequence[Decisions]
    round_size: int | None = None

    def ask(self, first: int, count: int) -> list[Decisions]:
        return list(self.candidates[first : first + count])

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Ignores the outcomes."""

    def report(self, number: int) -> Report | None:
        return None


@dataclass
class ControllerSearch:
    """AutoAugment's controller: proposes a round of children and learns from their accuracies on the validation part.

    moving_average: compares rewards with their moving average, as published, instead of within their own round (z-scores), which
    learns from tens of children where the moving average needs thousands. Children that crashed are ignored.
    """

    space: PolicySpace
    seed: int
    rule: UpdateRule = "ppo"
    lr: float = 3.5e-4
    round_size: int = 8
    moving_average: bool = False
    learner: Learner = field(init=False)
    baseline: Baseline = field(init=False)

    def __post_init__(self) -> None:
        self.learner = Learner(self.space.controller(self.seed), self.rule, self.lr)
        self.baseline = Baseline()

    def ask(self, first: int, count: int) -> list[Decisions]:
        noise = Noise.of(self.seed, torch.arange(first, first + count)).fold("controller")
        return self.learner.sample(noise).tolist()

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        told = [outcome for outcome in outcomes if outcome.accuracy is not None]
        if not told:
            return
        rewards = torch.tensor([(outcome.accuracy or 0.0) / 100 for outcome in told])
        gain = self.baseline.advantage(rewards) if self.moving_average else z_scores(rewards)
        self.learner.update(torch.tensor([outcome.decisions for outcome in told]), gain)

    def report(self, number: int) -> Report | None:
        return None
