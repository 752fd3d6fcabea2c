"""The interface of pools, which run jobs on free workers and yield each result as soon as it is ready."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from augury.core.errors import InputError, RunError
from augury.train.engine.settings import Settings

J = TypeVar("J")
R = TypeVar("R")
T = TypeVar("T")
J_in = TypeVar("J_in", contravariant=True)
R_out = TypeVar("R_out", covariant=True)

Tell = Callable[[Any], None]
OnTold = Callable[[Any, Any], None]


def unheard(*told: Any) -> None:
    """Ignores what jobs report while they run."""


class Runner(Protocol[J_in, R_out]):
    """Runs one job at a time, in whichever process it is sent to; picklable. settings: for the plug-ins and device that it needs.
    `run` may report progress by `tell`; `broken` returns the result of a job that was refused or failed twice."""

    @property
    def settings(self) -> Settings: ...

    def run(self, job: J_in, tell: Tell) -> R_out: ...

    def broken(self, job: J_in, error: Exception, seconds: float) -> R_out: ...


@dataclass(frozen=True, eq=False)
class Shared(Generic[T]):
    """A value that many jobs read, made by `Pool.share`. Each process loads it once, and its arrays are in memory that all
    processes of the machine share. key: by which other processes find it; "" if none has to."""

    value: T
    key: str = ""


class Pool(Protocol[J_in, R_out]):
    """`run` runs jobs and yields each result as soon as it is ready; the next job is taken only when a worker is free, so that
    the choice can depend on earlier results. told(job, what): called with what a job reports while it runs."""

    def run(self, jobs: Iterable[J_in], told: OnTold = unheard) -> Iterator[R_out]: ...

    def share(self, value: T) -> Shared[T]: ...


@dataclass(frozen=True)
class SerialPool(Generic[J, R]):
    """Runs jobs one after another in this process."""

    runner: Runner[J, R]

    def run(self, jobs: Iterable[J], told: OnTold = unheard) -> Iterator[R]:
        for job in jobs:
            yield attempted(self.runner, job, telling(job, told))

    def share(self, value: T) -> Shared[T]:
        return Shared(value)


def telling(job: Any, told: OnTold) -> Tell:
    """A `tell` that calls `told` with the job and what it reports."""
    return lambda what: told(job, what)


def attempted(runner: Runner[J, R], job: J, tell: Tell) -> R:
    """A job's result. A job that fails is tried once more, since memory or disk space may have become free; one that is refused
    with InputError is not. Only interruptions propagate."""
    started = time.perf_counter()
    try:
        return runner.run(job, tell)
    except InputError as refused:
        return runner.broken(job, refused, time.perf_counter() - started)
    except Exception:  # whatever trainings and users' own functions raise
        pass
    try:
        return runner.run(job, tell)
    except Exception as error:
        return runner.broken(job, error, time.perf_counter() - started)


def in_words(error: BaseException) -> str:
    """An error in one line, with its type unless it is one of Augury's."""
    said = str(error) if isinstance(error, InputError | RunError) else f"{type(error).__name__}: {error}"
    return " ".join(said.split())[:500]
