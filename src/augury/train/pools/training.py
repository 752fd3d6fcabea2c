"""Trainings as jobs, each with its own folder, from which the caller reads the result."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from augury.core.errors import InputError, RunError
from augury.train.data.dataset import Dataset
from augury.train.engine.prepare import prepare
from augury.train.engine.run import Trainer
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.settings import Settings
from augury.train.pools.pool import OnTold, Pool, Shared, Tell, in_words, unheard


@dataclass(frozen=True)
class TrainingJob:
    """One training into a folder. name: for messages. precision: replaces that of the settings, if `auto` was resolved before, so
    that all trainings compute alike wherever they run. streams: additional images (see `engine.prepare`)."""

    name: str
    settings: Settings
    folder: Path
    data: Shared[Dataset]
    streams: Mapping[str, Shared[Tensor]] = field(default_factory=dict)
    precision: Literal["float32", "bfloat16"] | None = None


@dataclass(frozen=True)
class Ended:
    """A training that has ended. epochs: those of its settings. error: why it has no result. refused: whether the error is the
    user's to fix."""

    name: str
    folder: Path
    epochs: int
    error: str | None = None
    refused: bool = False


@dataclass(frozen=True)
class TrainingRunner:
    """Trains into the jobs' folders. settings: those of one job, for the device and the plug-ins that all jobs may use."""

    settings: Settings

    def run(self, job: TrainingJob, tell: Tell) -> Ended:
        """Train, or resume from the folder's checkpoint; a finished training is not repeated. Reports every epoch's metrics."""
        directory = RunDirectory.open(job.folder, job.settings.dict(), resume=True)
        try:
            if directory.result() is None:
                streams = {name: shared.value for name, shared in job.streams.items()}
                settings = job.settings if job.precision is None else replace(job.settings, precision=job.precision)
                directory.finish(Trainer(prepare(settings, job.data.value, streams or None)).run(directory, tell))
        finally:
            directory.release()
        return Ended(job.name, job.folder, job.settings.total_epochs)

    def broken(self, job: TrainingJob, error: Exception, seconds: float) -> Ended:
        return Ended(job.name, job.folder, job.settings.total_epochs, in_words(error), isinstance(error, InputError))


def portable(dataset: Dataset) -> Dataset:
    """The parts of a data set that trainings read, to be sent to other processes."""
    return replace(dataset, counterparts=None)


def train_all(
    pool: Pool[TrainingJob, Ended], jobs: Iterable[TrainingJob], told: OnTold = unheard, on_end: Callable[[Ended], None] = unheard
) -> None:
    """Run all jobs, and then raise RunError naming those that failed, or InputError if one of them was refused."""
    failed = []
    for ended in pool.run(jobs, told):
        on_end(ended)
        if ended.error is not None:
            failed.append(ended)
    if failed:
        raise failure_of(failed)


def failure_of(failed: list[Ended]) -> InputError | RunError:
    """The error to raise for trainings that failed twice or were refused."""
    first = next((each for each in failed if each.refused), failed[0])
    if first.refused:
        return InputError(first.error or "")
    if len(failed) == 1:
        return RunError(f"{first.name}: {first.error}")
    names = ", ".join(each.name for each in failed)
    return RunError(f"{len(failed)} trainings failed ({names}), the first with: {first.error}")


def outcome_of(folder: Path) -> dict[str, Any]:
    """A finished training's result.json, with its metrics; RunError if it is missing, since another machine wrote it elsewhere."""
    directory = RunDirectory(folder)
    result = directory.result()
    if result is None:
        raise RunError(f"{folder}: holds no result of the training; give --output a folder that all machines share")
    return {**result, "metrics": directory.metrics()}
