"""One arm of a search: a searcher proposes children, they are trained, and it learns from them; the journal records everything."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from augury.core.errors import RunError
from augury.train.engine.networks import derived_seed
from augury.train.pools.pool import Pool
from augury.train.search.budget import Budget
from augury.train.search.journal import Journal
from augury.train.search.outcome import Decisions, Job, Outcome
from augury.train.search.searchers import Searcher

OnChild = Callable[[Outcome], None]


@dataclass(frozen=True)
class ArmResult:
    """All children of an arm by number, and the seconds spent in the searcher itself."""

    outcomes: list[Outcome]
    own_seconds: float

    @property
    def seconds(self) -> float:
        """The training time of all children together."""
        return sum(outcome.seconds for outcome in self.outcomes)

    def best(self, count: int) -> list[Outcome]:
        """The `count` children with the highest validation accuracy, earlier ones first among equals; pruned ones are excluded.

        Raises RunError if no child finished.
        """
        finished = [o for o in self.outcomes if o.accuracy is not None and not o.pruned]
        if not finished:
            first = next((o.error for o in self.outcomes if o.error), "none was trained")
            arm = self.outcomes[0].arm if self.outcomes else "search"
            raise RunError(f"{arm}: no child finished (--overwrite starts again); the first error: {first}")
        return sorted(finished, key=lambda o: (-(o.accuracy or 0.0), o.number))[:count]


def run_arm(
    arm: str, searcher: Searcher, budget: Budget, pool: Pool[Job, Outcome], journal: Journal, *, seed: int, workers: int = 1,
    on_child: OnChild | None = None,
) -> ArmResult:  # fmt: skip
    """Trains children until the budget is spent or the searcher has no more; those in the journal are not trained again.

    Child n of every arm trains with the same seed, so that arms differ only in what they propose. A searcher that learns is asked
    for a round and told its results in the order of the children's numbers, whatever order they finished in; one that does not
    learn is asked whenever a worker is free. The budget is checked before every child, also in the middle of a round.
    """
    running = _Arm(arm, searcher, budget, journal, seed, workers, on_child)
    while True:
        first = len(running.outcomes)
        running.round(pool)
        if len(running.outcomes) == first or running.over:
            break
    return ArmResult([running.outcomes[number] for number in sorted(running.outcomes)], running.own)


@dataclass
class _Arm:
    """The state of an arm. begun: when each child in training was started, by number; own: seconds spent in the searcher."""

    name: str
    searcher: Searcher
    budget: Budget
    journal: Journal
    seed: int
    workers: int
    on_child: OnChild | None
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    begun: dict[int, float] = field(default_factory=dict)
    own: float = 0.0
    over: bool = False

    def round(self, pool: Pool[Job, Outcome]) -> None:
        """Trains children until the searcher is to learn from them, or all children if it does not learn."""
        first = len(self.outcomes)
        for outcome in pool.run(self._jobs(first)):
            self.begun.pop(outcome.number, None)
            self.journal.add(outcome)
            self._record(replace(outcome, files={}))
        told = [self.outcomes[number] for number in range(first, len(self.outcomes)) if number in self.outcomes]
        if told:
            started = time.perf_counter()
            self.searcher.tell(told)
            self.own += time.perf_counter() - started

    def _jobs(self, first: int) -> Iterator[Job]:
        """Yields children to train, each decided when a worker is free to train it."""
        size = self.searcher.round_size
        number = first
        while True:
            proposed = self._asked(number, 1 if size is None else size)
            if not proposed:
                self.over = True
                return
            for decisions in proposed:
                known = self.journal.known.get((self.name, number))
                if not self._may_start(known):
                    self.over = True
                    return
                if known is not None:
                    self._record(known)
                else:
                    self.begun[number] = time.perf_counter()
                    seed = derived_seed(self.seed, "child", number) % 2**31
                    yield Job(self.name, number, decisions, seed, self.searcher.report(number))
                number += 1
            if size is not None:
                return

    def _asked(self, first: int, count: int) -> list[Decisions]:
        if self.budget.children is not None:
            count = min(count, self.budget.children - first)
        if count <= 0:
            return []
        started = time.perf_counter()
        proposed = self.searcher.ask(first, count)
        self.own += time.perf_counter() - started
        return proposed

    def _may_start(self, known: Outcome | None) -> bool:
        """Whether the budget allows another child; one in the journal costs no more time."""
        if known is not None and self.budget.children is None:
            return True
        now = time.perf_counter()
        spent = sum(outcome.seconds for outcome in self.outcomes.values()) + sum(now - begun for begun in self.begun.values())
        return self.budget.allows(len(self.outcomes) + len(self.begun), spent / self.workers)

    def _record(self, outcome: Outcome) -> None:
        self.outcomes[outcome.number] = outcome
        if self.on_child:
            self.on_child(outcome)
