"""The third stage of `augury patch`: every strategy, over seeds, at the same number of steps."""

import re
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from augury.core.errors import InputError
from augury.explain.statistics import compare_rows
from augury.jobs.patch.rows import PatchRow
from augury.train.data.dataset import Dataset
from augury.train.data.groups import GroupAccuracy, Groups, group_accuracy
from augury.train.engine.networks import predictions_file
from augury.train.engine.prepare import prepare
from augury.train.engine.run import Trainer
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.settings import Settings
from augury.train.strategies.clamp import STREAM

Advance = Callable[[dict[str, Any] | None], None]


@dataclass(frozen=True)
class Trainings:
    """The rows' trainings: their folders, settings and data. translated: reads the translated images, called when a row needs
    them."""

    output: Path
    rows: list[PatchRow]
    settings: Settings
    dataset: Dataset
    translated: Callable[[], Tensor]

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

    def train(self, row: PatchRow, seed: int, choice: int, advance: Advance | None) -> dict[str, Any]:
        """Train, or resume a training; returns its result.json with its metrics. Without `advance`, only read a finished one."""
        folder, settings = self.folder(row, seed, choice), row.settings(self.settings, choice, seed)
        if advance is None:
            result = RunDirectory(folder).result() if folder.is_dir() else None
            if result is None:
                raise InputError(f"--stage report: {folder} is not finished; run --stage retrain first")
            return {**result, "metrics": RunDirectory(folder).metrics()}
        directory = RunDirectory.open(folder, settings.dict(), resume=True)
        result = directory.result()
        if result is None:
            streams = None
            if row.reads_translations:
                streams = {STREAM: true_translations(self.dataset, row.name) if row.true else self.translated()}
            result = Trainer(prepare(settings, self.dataset, streams)).run(directory, advance)
            directory.finish(result)
        return {**result, "metrics": directory.metrics()}

    def chosen(self, row: PatchRow, seeds: list[int], advance: Advance | None) -> int:
        """The index of the row's grid with the best mean over seeds on the validation part; 0 for a single entry.

        One seed is not enough: the best of several single trainings is mostly the luckiest.
        """
        if len(row.grid) == 1:
            return 0
        values = [
            statistics.mean(_validated(self.settings, self.train(row, seed, choice, advance)) for seed in seeds)
            for choice in range(len(row.grid))
        ]
        return values.index(max(values))

    def all(self, seeds: list[int], advance: Advance | None) -> list["Trained"]:
        """Every row with every seed."""
        found = []
        for row in self.rows:
            choice = self.chosen(row, seeds, advance)
            runs = [self.train(row, seed, choice, advance) for seed in seeds]
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
        raise InputError(f"--strategy {row}: true translations have the data's own size; leave out --image-size")
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
