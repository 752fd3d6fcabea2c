"""The race: candidates train in paired rounds, short trainings first, and leave when they are shown to be worse than the best."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from augury.explain.race import leader_of, shown_worse
from augury.explain.statistics import compare_rows
from augury.jobs.recommend.candidates import Candidate
from augury.jobs.recommend.plan import Plan, Rung
from augury.train.data.dataset import Dataset, Split
from augury.train.data.splits import cut
from augury.train.engine.metrics import metric_of
from augury.train.engine.networks import derived_seed
from augury.train.engine.prepare import prepare
from augury.train.engine.run import Trainer
from augury.train.engine.settings import Settings
from augury.train.pools.pool import Pool, Tell, in_words, unheard
from augury.train.search.journal import Journal
from augury.train.search.outcome import Job, Outcome

ARM = "race"
_ROUNDS = 1000  # at most, in a journal's number of a training


@dataclass(frozen=True)
class RaceRunner:
    """All that a training of the race needs beside its number, picklable.

    dataset: without its test part, which the race never sees. share: of the training and validation images together that a round
    holds out to judge by, others in every round.
    """

    settings: Settings
    dataset: Dataset
    candidates: tuple[Candidate, ...]
    share: float

    def run(self, job: Job, tell: Tell = unheard) -> Outcome:
        """Train one candidate, `job.decisions` its number and the epochs."""
        started = time.perf_counter()
        number, epochs = job.decisions
        value = self._train(self.candidates[number], epochs, job.seed)
        seconds = round(time.perf_counter() - started, 4)
        return Outcome(job.arm, job.number, list(job.decisions), job.seed, value, seconds, epochs)

    def broken(self, job: Job, error: Exception, seconds: float) -> Outcome:
        """The outcome of a training that failed twice."""
        return Outcome(
            job.arm, job.number, list(job.decisions), job.seed, None, round(seconds, 4), job.decisions[1], error=in_words(error)
        )

    def _train(self, candidate: Candidate, epochs: int, seed: int) -> float | None:
        settings = candidate.settings(self.settings, epochs, seed)
        row = Trainer(prepare(settings, resplit(self.dataset, seed, self.share))).train_to_the_end()
        value: float | None = row[metric_of(settings.metric).key]
        return value


def resplit(dataset: Dataset, seed: int, share: float) -> Dataset:
    """The training and validation images together, cut anew: stratified, and another cut for every seed.

    Judging by one small validation part would choose what suits its few images. Images that stay in files are cut as they are.
    """
    train, held = dataset.train, dataset.validation
    if not isinstance(train.images, Tensor) or not isinstance(held.images, Tensor):
        return dataset
    groups = None if train.groups is None or held.groups is None else torch.cat([train.groups, held.groups])
    every = Split(
        torch.cat([train.images, held.images]), torch.cat([train.labels, held.labels]), torch.cat([train.ids, held.ids]), groups
    )  # fmt: skip
    order = every.ids.argsort()
    kept, chosen = cut(every.labels[order], share, name=f"race {seed}")
    return replace(dataset, train=every[order[kept]], validation=every[order[chosen]])


@dataclass
class Race:
    """A race while it runs. values: [rung][candidate][round], None if missing. left: why a candidate is no longer in it.

    seen: is given the rows as they stand after every training.
    deadline: when the last training has to have ended, of `clock`. Everything that finished is in the journal, and is taken from
    there when the race is run again.
    """

    plan: Plan
    candidates: tuple[Candidate, ...]
    settings: Settings
    journal: Journal
    error_rate: float
    deadline: float
    clock: Callable[[], float] = time.monotonic
    told: Callable[[str], None] = lambda text: None
    seen: Callable[[list[dict[str, Any]], str], None] | None = None
    values: list[list[list[float | None]]] = field(default_factory=list)
    left: dict[int, dict[str, Any]] = field(default_factory=dict)
    seconds: dict[int, list[tuple[int, float]]] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)
    looks: int = 0

    @property
    def rising(self) -> bool:
        return metric_of(self.settings.metric).rising

    def racing(self) -> list[int]:
        """The candidates that are still in it."""
        return [number for number in range(len(self.candidates)) if number not in self.left]

    def run(self, pool: Pool[Job, Outcome]) -> None:
        """All rungs, as far as the time goes."""
        for number, rung in enumerate(self.plan.rungs):
            if number:
                self._set_aside(number)
            self.values.append([[] for _ in self.candidates])
            for turn in range(rung.rounds):
                if not self._round(pool, number, rung, turn):
                    return
                self._drop(number, rung, turn)

    def seconds_per_epoch(self, candidate: int) -> float | None:
        """As measured in its trainings, the longest ones alone; None if it has none."""
        known = self.seconds.get(candidate)
        if not known:
            return None
        longest = max(epochs for epochs, _ in known)
        own = [taken / epochs for epochs, taken in known if epochs == longest]
        return sum(own) / len(own)

    def best(self) -> int:
        """The candidate that leads in the last rung of which at least one round was trained by all; the reference before that."""
        found = self._leader(self.racing())
        return 0 if found is None else found

    def challenger(self) -> int | None:
        """The best candidate beside the reference: of those still racing, else of all that were ever trained."""
        others = [number for number in self.racing() if number]
        found = self._leader(self.racing()) or self._leader(others)
        return found or self._leader(list(range(1, len(self.candidates))))

    def _leader(self, among: list[int]) -> int | None:
        """The best of these, in the last rung that any of them was trained in and of which one round is complete for them."""
        for values in reversed(self.values):
            trained = [values[k] for k in among if values[k]]
            if any(all(value is not None for value in turn) for turn in zip(*trained, strict=False)):
                return [k for k in among if values[k]][leader_of(trained, self.rising)]
        return None

    def rows(self) -> list[dict[str, Any]]:
        """For result.json: a row for each candidate, of the longest trainings that it had."""
        return [self._row(number, candidate) for number, candidate in enumerate(self.candidates)]

    def _row(self, number: int, candidate: Candidate) -> dict[str, Any]:
        rung, values = next(
            ((k, each[number]) for k, each in reversed(list(enumerate(self.values))) if any(v is not None for v in each[number])),
            (None, []),
        )
        made = compare_rows([values])[0] if values else None
        return {
            **candidate.row(), "n": made.n if made else 0, "mean": made.mean if made else None,
            "interval": [made.low, made.high] if made else [None, None],
            "epochs": None if rung is None else self.plan.rungs[rung].epochs, "values": values,
            "dropped_after": self.left.get(number), "error": self.errors.get(number),
            "seconds": round(sum(taken for _, taken in self.seconds.get(number, ())), 2),
        }  # fmt: skip

    def _round(self, pool: Pool[Job, Outcome], number: int, rung: Rung, turn: int) -> bool:
        """One training of every candidate that races; whether the time sufficed for all."""
        racing = self.racing()
        for candidate in racing:
            self.values[number][candidate].append(None)
        for outcome in self._outcomes(pool, racing, number, rung, turn):
            candidate = outcome.number % _ROUNDS
            self.seconds.setdefault(candidate, []).append((max(1, outcome.epochs), outcome.seconds))
            if outcome.error is not None:
                self.errors[candidate] = outcome.error
                self.left.setdefault(candidate, {"why": "failed", "epochs": rung.epochs, "round": turn + 1})
            self.values[number][candidate][turn] = outcome.accuracy
            if self.seen is not None:
                self.seen(self.rows(), metric_of(self.settings.metric).name)
        return all(self.values[number][k][turn] is not None for k in racing if k not in self.left)

    def _outcomes(self, pool: Pool[Job, Outcome], racing: list[int], number: int, rung: Rung, turn: int) -> Iterator[Outcome]:
        """Those in the journal, then those of trainings that are started now, as long as there is time for another."""
        seed = derived_seed(self.settings.seed, "race", number * _ROUNDS + turn) % 2**31
        missing = []
        for candidate in racing:
            key = (number * _ROUNDS + turn) * _ROUNDS + candidate
            known = self.journal.known.get((ARM, key))
            if known is None:
                missing.append(Job(ARM, key, (candidate, rung.epochs), seed))
            else:
                yield known
        for outcome in pool.run(self._while_time(missing, rung)):
            self.journal.add(outcome)
            name = self.candidates[outcome.number % _ROUNDS].name
            said = outcome.error or f"{outcome.accuracy:.2f}"
            self.told(f"{name}, {rung.epochs} epochs, round {turn + 1}: {said}")
            yield outcome

    def _while_time(self, jobs: list[Job], rung: Rung) -> Iterator[Job]:
        for job in jobs:
            if self.clock() + self._expected(job.number % _ROUNDS) * rung.epochs > self.deadline:
                return
            yield job

    def _expected(self, candidate: int) -> float:
        """Seconds of an epoch: its own, or what is usual here where it has none."""
        own = self.seconds_per_epoch(candidate)
        if own:
            return own
        known = [each for each in (self.seconds_per_epoch(k) for k in self.seconds) if each is not None]
        return sum(known) / len(known) if known else 0.0

    def _drop(self, number: int, rung: Rung, turn: int) -> None:
        """Take those out that are shown to be worse than the best; the reference too, which is compared at the end all the same."""
        if turn == 0:
            return
        self.looks += 1
        racing = self.racing()
        values = [self.values[number][k] for k in racing]
        if len(racing) < 2:
            return
        for row in shown_worse(values, look=self.looks, error_rate=self.error_rate, rising=self.rising):
            self.left[racing[row]] = {"why": "shown to be worse", "epochs": rung.epochs, "round": turn + 1}
            self.told(f"{self.candidates[racing[row]].name} is shown to be worse than the best, and dropped")

    def _set_aside(self, number: int) -> None:
        """Keep the best where there is no time to train all of them longer; those that go are not shown to be worse.

        No more than the rung has places for, and no more than the time allows to take to the end: a choice by short trainings,
        when the time is up in the middle of a rung, is the worse one.
        """
        values, racing, rung = self.values[-1], self.racing(), self.plan.rungs[number]
        ranked = list(racing)
        order = []
        while ranked:
            first = ranked[leader_of([values[k] for k in ranked], self.rising)]
            order.append(first)
            ranked.remove(first)
        left = self.deadline - self.clock()
        most = min(rung.candidates, len(order))
        kept = next((count for count in range(most, 2, -1) if self._seconds_to_end(number, order[:count]) <= left), 2)
        for candidate in order[kept:]:
            self.left[candidate] = {"why": "no time to train it longer", "epochs": self.plan.rungs[number - 1].epochs,
                                    "round": len(values[candidate])}  # fmt: skip

    def _seconds_to_end(self, number: int, order: list[int]) -> float:
        """Of this rung and those after it, if it is begun by these candidates, the best first, and each rung keeps its share."""
        rungs, seconds = self.plan.rungs[number:], 0.0
        for rung in rungs:
            count = max(2, math.ceil(len(order) * rung.candidates / rungs[0].candidates))
            seconds += rung.rounds * rung.epochs * sum(map(self._expected, order[:count]))
        return seconds
