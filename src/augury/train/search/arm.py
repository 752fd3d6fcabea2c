"""One arm of a search: a searcher proposes children, they are trained, the searcher learns; everything is in the journal."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from augury.core.errors import RunError
from augury.train.engine.networks import derived_seed
from augury.train.search.budget import Budget
from augury.train.search.journal import Journal
from augury.train.search.outcome import Job, Outcome
from augury.train.search.pools import Pool
from augury.train.search.searchers import Searcher

OnChild = Callable[[Outcome], None]


@dataclass(frozen=True)
class ArmResult:
    """All children of an arm by number, and the seconds that the searcher itself took."""

    outcomes: list[Outcome]
    own_seconds: float

    @property
    def seconds(self) -> float:
        """Of all children's trainings together."""
        return sum(outcome.seconds for outcome in self.outcomes)

    def best(self, count: int) -> list[Outcome]:
        """The `count` children of highest validation accuracy, the earlier of equals first; pruned ones do not count.

        Raises RunError where no child finished.
        """
        finished = [o for o in self.outcomes if o.accuracy is not None and not o.pruned]
        if not finished:
            first = next((o.error for o in self.outcomes if o.error), "none was trained")
            arm = self.outcomes[0].arm if self.outcomes else "search"
            raise RunError(f"{arm}: no child finished (--overwrite starts again); the first said: {first}")
        return sorted(finished, key=lambda o: (-(o.accuracy or 0.0), o.number))[:count]


def run_arm(
    arm: str, searcher: Searcher, budget: Budget, pool: Pool, journal: Journal, *, seed: int, workers: int = 1,
    on_child: OnChild | None = None,
) -> ArmResult:  # fmt: skip
    """Train children until the budget is spent or the searcher has no more; those in the journal are not trained again.

    Child n of every arm trains with the same seed, so that arms differ in what they propose alone. A round is told to the
    searcher in the order of its numbers, whatever order the children finished in.
    """
    outcomes: list[Outcome] = []
    own = 0.0
    while True:
        left = budget.left(outcomes, workers)
        count = searcher.round_size if left is None else min(searcher.round_size, left)
        if count <= 0:
            break
        started, first = time.perf_counter(), len(outcomes)
        proposed = searcher.ask(first, count)
        jobs = [
            Job(arm, number, decisions, derived_seed(seed, "child", number) % 2**31, searcher.report(number))
            for number, decisions in enumerate(proposed, start=first)
        ]
        own += time.perf_counter() - started
        if not jobs:
            break
        done = _trained(jobs, pool, journal, on_child)
        started = time.perf_counter()
        searcher.tell(done)
        own += time.perf_counter() - started
        outcomes += done
    return ArmResult(outcomes, own)


def _trained(jobs: Sequence[Job], pool: Pool, journal: Journal, on_child: OnChild | None) -> list[Outcome]:
    done = {job.number: journal.known[job.arm, job.number] for job in jobs if (job.arm, job.number) in journal.known}
    for outcome in done.values():
        if on_child:
            on_child(outcome)
    for outcome in pool.run([job for job in jobs if job.number not in done]):
        journal.add(outcome)
        done[outcome.number] = replace(outcome, files={})
        if on_child:
            on_child(outcome)
    return [done[job.number] for job in jobs]
