"""How long a command will take, from a probe of seconds, said before anything long starts."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from augury.core import warmup
from augury.core.errors import InputError, RunError
from augury.train.data.dataset import Dataset
from augury.train.engine.prepare import prepare
from augury.train.engine.run import Trainer
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.settings import Settings
from augury.train.pools.opened import ALONE, Workers
from augury.train.pools.processes import threads_as_in

# What takes less is not announced.
SHORT = 30.0
# Kinds of trainings that are measured; the others are taken to be as fast as these on average.
MOST_PROBES = 6
PATIENCE = 10.0


@dataclass(frozen=True)
class Work:
    """Trainings of one kind: their settings and data, how many they are, and the epochs that they have to train together."""

    settings: Settings
    dataset: Dataset
    trainings: int
    epochs: int


@dataclass(frozen=True)
class Estimate:
    """seconds: of all. uncounted: what comes on top, in words."""

    seconds: float
    trainings: int
    epochs: int
    images: int
    size: tuple[int, int]
    uncounted: str = ""

    def words(self) -> str:
        """One line for people."""
        what = "1 training" if self.trainings == 1 else f"{self.trainings} trainings"
        epochs = f"{self.epochs:,} epoch{'' if self.epochs == 1 else 's'}"
        rows, columns = self.size
        more = f", {self.uncounted} not counted" if self.uncounted else ""
        return f"{duration(self.seconds)}: {what}, {epochs} of {self.images:,} images of {rows}x{columns}{more}"


Before = Callable[[Estimate], None]


def duration(seconds: float) -> str:
    """`about 40 seconds`, `about 12 minutes`, `about 3.5 hours`, `about 2.1 days`."""
    for unit, size, least in (("day", 86400.0, 129600.0), ("hour", 3600.0, 3600.0), ("minute", 60.0, 90.0)):
        if seconds >= least:
            amount = seconds / size
            shown = f"{amount:.0f}" if amount >= 10 or unit == "minute" else f"{amount:.1f}"
            return f"about {shown} {unit}s"
    return f"about {max(1, round(seconds))} second{'' if round(seconds) <= 1 else 's'}"


def announce(
    works: Sequence[Work], before: Before | None, workers: Workers = ALONE, uncounted: str = "", fixed: float = 0.0
) -> Workers:  # fmt: skip
    """Tell `before` how long all will take, where that is long; it raises InputError where the user has to agree first.

    uncounted: what comes on top, in words; fixed: seconds that come on top. Returns who trains: `workers`, chosen where they are
    open. Processes take seconds to begin, which are not worth it for what is soon done.
    """
    works, own = [work for work in works if work.epochs > 0], replace(workers, open=False)
    if not works or (before is None and not workers.open):
        return own
    first = works[0]
    images = sum(work.epochs * len(work.dataset.train.ids) for work in works)
    trainings = sum(work.trainings for work in works)
    short = fixed < SHORT and (workers.open or not uncounted) and _is_short(first, images)
    workers = own if short else workers.chosen(trainings, first.settings.device)
    if before is None or (short and not uncounted):
        return workers
    with threads_as_in(workers.count):
        rates = _rates(works)
    if not rates:
        return workers
    seconds = sum(work.epochs * len(work.dataset.train.ids) / rates[kind_of(work)] for work in works)
    size = first.dataset.train.images.shape[-2:]
    seconds = seconds / max(1, min(workers.count, trainings)) + fixed
    if seconds >= SHORT or uncounted:
        before(
            Estimate(seconds, trainings, sum(work.epochs for work in works), len(first.dataset.train.ids),
                     (int(size[0]), int(size[1])), uncounted)
        )  # fmt: skip
    return workers


def _is_short(first: Work, images: int) -> bool:
    """Whether so many images are soon trained on; False where the first training cannot be tried yet."""
    try:
        return images / max(1e-9, quick_rate(first.settings, first.dataset)) < SHORT
    except (InputError, RunError):  # as in `_rates`
        return False


def kind_of(work: Work) -> tuple[str, str, str | None, str]:
    """What decides how fast a training is; the rest is alike within a command."""
    s = work.settings
    return s.model, s.augment, s.augment2, s.strategy


def _rates(works: Sequence[Work]) -> dict[tuple[str, str, str | None, str], float]:
    """Images a second of every kind; empty where none could be measured."""
    kinds = {kind_of(work): work for work in works}
    found = {}
    for kind, work in list(kinds.items())[:MOST_PROBES]:
        try:
            found[kind] = images_per_second(work.settings, work.dataset, PATIENCE)
        except (InputError, RunError):  # it lacks images that are made only later, or is going to fail: then it is said there
            continue
    if not found:
        return {}
    usual = statistics.harmonic_mean(list(found.values()))
    return {kind: found.get(kind, usual) for kind in kinds}


def remaining(folder: Path, settings: Settings, *, resume: bool = True, taken_over: bool = False) -> int:
    """The epochs that a training in this folder has still to train. resume: whether what is in it counts. taken_over: whether
    stage one comes from another training."""
    left = settings.total_epochs - settings.stage_one if taken_over else settings.total_epochs
    if not resume or not folder.is_dir():
        return left
    directory = RunDirectory(folder)
    return 0 if directory.result() is not None else max(0, min(left, settings.total_epochs - len(directory.metrics())))


def quick_rate(settings: Settings, dataset: Dataset) -> float:
    """Images a second of the first two batches, in which everything is slow: no more than the true rate."""
    trainer = _probe(settings, dataset)
    with torch.random.fork_rng(devices=[]):
        started = time.perf_counter()
        trainer.train_epoch()
        return len(trainer.training.dataset.train.ids) / (time.perf_counter() - started)


def images_per_second(settings: Settings, dataset: Dataset, patience: float = 0.0) -> float:
    """Source images of a training per second, its evaluation included; measured on a few steps.

    patience: seconds to wait until kernels are compiled, without which it would be too low.
    """
    trainer = _probe(settings, dataset)
    with torch.random.fork_rng(devices=[]):
        trainer.train_epoch()  # allocations and compiling are not what a step costs
        waited = time.perf_counter()
        while not warmup.ready() and time.perf_counter() - waited < patience:
            time.sleep(0.1)
        started, steps = time.perf_counter(), 0
        while steps < 3 or (time.perf_counter() - started < 1 and steps < 50):
            trainer.train_epoch()
            steps += 1
        return steps * len(trainer.training.dataset.train.ids) / (time.perf_counter() - started)


def _probe(settings: Settings, dataset: Dataset) -> Trainer:
    """A training of two batches an epoch, with its share of validation."""
    batch = min(settings.resolved(len(dataset.train.ids)).batch_size or 1, len(dataset.train.ids))
    train, validation = dataset.train, dataset.validation
    few = replace(
        dataset, train=train[torch.arange(min(2 * batch, len(train.ids)))],
        validation=validation[torch.arange(min(max(1, batch // 4), len(validation.ids)))],
    )  # fmt: skip
    plain = replace(settings, epochs=1000, refine_epochs=0, refine_at=None, batch_size=batch, labels=None, labels_per_class=None)
    return Trainer(prepare(plain, few))
