"""What a pool is: it carries jobs to wherever somebody is free to do them, and gives each result as soon as it is there."""

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
    """For those who do not listen to what jobs tell while they run."""


class Runner(Protocol[J_in, R_out]):
    """Does one job at a time, in whatever process it is carried to: picklable, with the settings whose plug-ins and device it
    needs. `run` may tell what it has come to; `broken` is the result of a job that failed twice."""

    @property
    def settings(self) -> Settings: ...

    def run(self, job: J_in, tell: Tell) -> R_out: ...

    def broken(self, job: J_in, error: Exception, seconds: float) -> R_out: ...


@dataclass(frozen=True, eq=False)
class Shared(Generic[T]):
    """A value that many jobs read, given to `Pool.share` first. Wherever it is read it is loaded once, and its arrays lie in
    memory that all processes of the machine share. key: how another process finds it; "" in the process that has it."""

    value: T
    key: str = ""


class Pool(Protocol[J_in, R_out]):
    """`run` does jobs and gives each result as soon as it is there; the next job is taken only when somebody is free to do it,
    so that it can be decided on late. told(job, what): is given what a job tells while it runs."""

    def run(self, jobs: Iterable[J_in], told: OnTold = unheard) -> Iterator[R_out]: ...

    def share(self, value: T) -> Shared[T]: ...


@dataclass(frozen=True)
class SerialPool(Generic[J, R]):
    """One after another in this process."""

    runner: Runner[J, R]

    def run(self, jobs: Iterable[J], told: OnTold = unheard) -> Iterator[R]:
        for job in jobs:
            yield attempted(self.runner, job, telling(job, told))

    def share(self, value: T) -> Shared[T]:
        return Shared(value)


def telling(job: Any, told: OnTold) -> Tell:
    """What a job tells, together with the job."""
    return lambda what: told(job, what)


def attempted(runner: Runner[J, R], job: J, tell: Tell) -> R:
    """A job's result. What fails is tried once more, since memory and disks may be free again; what is refused is not. Only an
    interruption passes through."""
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
    """An error in one line; its type where the words are not ours."""
    said = str(error) if isinstance(error, InputError | RunError) else f"{type(error).__name__}: {error}"
    return " ".join(said.split())[:500]
