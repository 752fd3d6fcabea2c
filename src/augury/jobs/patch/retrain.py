"""The third stage of `augury patch`: every strategy, over seeds, at the same number of steps."""

import re
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from augury.core.errors import InputError
from augury.explain.statistics import compare_rows
from augury.jobs.estimate import Work, remaining
from augury.jobs.patch.rows import PatchRow
from augury.jobs.progress import Bar
from augury.train.data.dataset import Dataset
from augury.train.data.groups import GroupAccuracy, Groups, group_accuracy
from augury.train.engine.networks import predictions_file
from augury.train.engine.prepare import prepare
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.settings import Settings
from augury.train.pools.opened import ALONE, Workers, pool_of
from augury.train.pools.pool import Pool, Shared
from augury.train.pools.training import Ended, TrainingJob, TrainingRunner, outcome_of, portable, train_all
from augury.train.strategies.clamp import STREAM


@dataclass(frozen=True)
class Trainings:
    """The rows' trainings: their folders, settings and data. translated: reads the translated images, called when a row needs
    them. workers: who trains."""

    output: Path
    rows: list[PatchRow]
    settings: Settings
    dataset: Dataset
    translated: Callable[[], Tensor]
    workers: Workers = ALONE

    def folder(self, row: PatchRow, seed: int, choice: int = 0) -> Path:
        """The folder of one training; `choice`: its index in the grid."""
        name = re.sub(r"[^A-Za-z0-9.=-]+", "_", row.label).strip("_")[:60]
        tried = f"-try{choice}" if len(row.grid) > 1 else ""
        return self.output / "runs" / f"{self.rows.index(row)}-{name}-seed{seed}{tried}"

    def check(self) -> None:
        """Raise InputError, before anything is written, for a row that cannot be trained."""
        for row in self.rows:
            if row.true:
                true_translations(self.dataset, row.name)
            for choice in range(len(row.grid)):
                nothing = {STREAM: torch.zeros(0)} if row.reads_translations else None
                prepare(row.settings(self.settings, choice), self.dataset, nothing)

    def works(self, seeds: list[int], *, first: bool, resume: bool) -> list[Work]:
        """What there is to train, of the first row or of all. Rows that read translations are as long as those that do not, at the
        least: their translations are not there yet."""
        found = []
        for row in self.rows[:1] if first else self.rows:
            settings = row.settings(self.settings, 0)
            epochs = sum(
                remaining(self.folder(row, seed, choice), settings, resume=resume)
                for choice, seed in product(range(len(row.grid)), seeds)
            )
            found.append(Work(settings, self.dataset, len(seeds) * len(row.grid), epochs))
        return found

    def train(self, rows: Sequence[PatchRow], seeds: list[int], progress: Bar) -> None:
        """Train these rows, as far as they are not finished: every entry of their grids with every seed."""
        with pool_of(TrainingRunner(self.settings), self.workers) as pool:
            train_all(pool, self._jobs(pool, rows, seeds), progress.told, progress.ended)

    def _jobs(self, pool: Pool[TrainingJob, Ended], rows: Sequence[PatchRow], seeds: list[int]) -> Iterator[TrainingJob]:
        data, translations = pool.share(portable(self.dataset)), dict[bool, Shared[Tensor]]()
        for row in rows:
            if row.reads_translations and row.true not in translations:
                read = true_translations(self.dataset, row.name) if row.true else self.translated()
                translations[row.true] = pool.share(read)
            streams = {STREAM: translations[row.true]} if row.reads_translations else {}
            for choice, seed in product(range(len(row.grid)), seeds):
                settings = row.settings(self.settings, choice, seed)
                tried = f", {row.grid[choice]}" if len(row.grid) > 1 else ""
                yield TrainingJob(f"{row.label}{tried}, seed {seed}", settings, self.folder(row, seed, choice), data, streams)

    def read(self, row: PatchRow, seed: int, choice: int) -> dict[str, Any]:
        """A finished training's result.json, with its metrics; InputError where it is not finished."""
        folder = self.folder(row, seed, choice)
        if not folder.is_dir() or RunDirectory(folder).result() is None:
            raise InputError(f"--stage report: {folder} is not finished; run --stage retrain first")
        return outcome_of(folder)

    def chosen(self, row: PatchRow, seeds: list[int]) -> int:
        """The index of the row's grid with the best mean over seeds on the validation part; 0 for a single entry.

        One seed is not enough: the best of several single trainings is mostly the luckiest.
        """
        if len(row.grid) == 1:
            return 0
        values = [
            statistics.mean(_validated(self.settings, self.read(row, seed, choice)) for seed in seeds)
            for choice in range(len(row.grid))
        ]
        return values.index(max(values))

    def all(self, seeds: list[int]) -> list["Trained"]:
        """Every row with every seed, all of them trained."""
        found = []
        for row in self.rows:
            choice = self.chosen(row, seeds)
            runs = [self.read(row, seed, choice) for seed in seeds]
            found.append(Trained(row, choice, runs, [self.folder(row, seed, choice) for seed in seeds]))
        return found


def true_translations(dataset: Dataset, row: str) -> Tensor:
    """The training images' true counterparts, uint8 [N,K,C,H,W]; InputError if the data have none, or have another size."""
    if dataset.counterparts is None:
        raise InputError(
            f"--strategy {row}: {dataset.name} has no true translations; only synthetic data have them (*_correlation)"
        )
    found = dataset.counterparts(dataset.train.ids)
    if found.shape[2:] != dataset.train.images.shape[1:]:
        rows, columns = found.shape[-2:]
        raise InputError(f"--strategy {row}: true translations have the data's own size; give --image-size {rows},{columns}")
    return found


@dataclass(frozen=True)
class Trained:
    """A row's trainings: the index of the chosen grid entry, and per seed the result with its metrics and the folder."""

    row: PatchRow
    choice: int
    runs: list[dict[str, Any]]
    folders: list[Path]


def _validated(settings: Settings, run: dict[str, Any]) -> float:
    """A training's value on the validation part of the metric that selected its epoch."""
    rows = run["metrics"]
    if settings.select == "last":
        return rows[-1]["validation_accuracy"]
    key = "validation_worst_group" if settings.select == "worst_group" else "validation_accuracy"
    return max(-1.0 if row[key] is None else row[key] for row in rows)


def table(found: list[Trained], dataset: Dataset, groups: Groups, settings: Settings) -> list[dict[str, Any]]:
    """The rows of result.json, with accuracies on the test part: means over seeds, and the values of every seed."""
    each = [[_tested(folder, dataset, groups) for folder in one.folders] for one in found]
    worst = [[seed.worst for seed in seeds] for seeds in each]
    rows = []
    for one, seeds, compared in zip(found, each, compare_rows(worst), strict=True):
        own = one.row.settings(settings, one.choice)
        statistic = asdict(compared)
        rows.append({
            "strategy": one.row.name,
            "label": one.row.label,
            "accuracy": statistics.mean(seed.accuracy for seed in seeds),
            "worst_group": statistic.pop("mean"),
            "gaps": _means([seed.gaps(groups) for seed in seeds]),
            "groups": _means([dict(zip(groups.names, seed.groups, strict=True)) for seed in seeds]),
            **{key: value for key, value in statistic.items() if key == "n"},
            "worst_group_low": statistic["low"], "worst_group_high": statistic["high"],
            **{key: statistic[key] for key in ("difference", "difference_low", "difference_high", "verdict")},
            "seeds": [_of_seed(seed, run, groups) for seed, run in zip(seeds, one.runs, strict=True)],
            "settings": {key: getattr(own, key) for key in ("lr", "weight_decay", "sampling")},
            "tried": len(one.row.grid),
            "counts": one.runs[0]["counts"],
            "seconds_training": round(statistics.mean(run["seconds"]["training"] for run in one.runs), 3),
        })  # fmt: skip
    return rows


def _of_seed(found: GroupAccuracy, run: dict[str, Any], groups: Groups) -> dict[str, Any]:
    key = "validation_worst_group"
    seen = [row[key] for row in run["metrics"] if row.get(key) is not None]
    return {
        "accuracy": found.accuracy, "worst_group": found.worst, "gaps": found.gaps(groups),
        "groups": dict(zip(groups.names, found.groups, strict=True)), "best_validation_worst_group": max(seen, default=None),
    }  # fmt: skip


def _tested(folder: Path, dataset: Dataset, groups: Groups) -> GroupAccuracy:
    """A finished run's accuracies per group, from its test predictions."""
    with np.load(folder / predictions_file(0), allow_pickle=False) as arrays:
        return group_accuracy(torch.from_numpy(arrays["prediction"]), dataset.test, groups)


def _means(seeds: list[dict[str, float | None]]) -> dict[str, float | None]:
    """The mean over seeds of every key, None for a key without values."""
    found: dict[str, float | None] = {}
    for key in seeds[0]:
        values = [value for seed in seeds if (value := seed[key]) is not None]
        found[key] = statistics.mean(values) if values else None
    return found
