"""What a comparison says of single classes, from its trainings' results."""

import statistics
from typing import Any

import numpy as np

from augury.train.engine.metrics import Metric


def value_of(run: dict[str, Any], metric: Metric) -> float | None:
    """A training's value of the metric on the test part; None if it has none. Trainings from before have accuracy alone."""
    if metric.name == "accuracy":
        return float(run["accuracy"])
    found: float | None = run.get("test_metrics", {}).get(metric.name)
    return found


def classes_of(names: list[str], runs: list[list[dict[str, Any]]], metric: Metric) -> dict[str, Any]:
    """classes: each with its test images and every row's recall, of several labels average precision, the mean over its seeds in
    percent. confusion: the matrices of
    the first and of the best other row, their seeds' sum. Nothing where trainings from before do not have them.

    names: of the rows, for people. runs: each row's trainings.
    """
    if not all("classes" in run for each in runs for run in each):
        return {}
    made: dict[str, Any] = {"classes": _recalls(runs)}
    if all("confusion" in run for each in runs for run in each):
        scores = [_mean_of([value_of(run, metric) for run in each]) for each in runs]
        best = max(range(1, len(runs)), key=lambda row: _score(scores[row], metric), default=0)
        made["confusion"] = [
            {"title": names[row], "matrix": np.sum([run["confusion"] for run in runs[row]], 0).tolist()}
            for row in sorted({0, best})
        ]
    return made


def _score(value: float | None, metric: Metric) -> float:
    return -1.0 if value is None else metric.score(value)


def _recalls(runs: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    figure = "average_precision" if "average_precision" in runs[0][0]["classes"][0] else "recall"
    return [
        {
            "class": one["class"], "images": one["images"], "prevalence": one["prevalence"],
            figure: [_mean_of([run["classes"][k][figure] for run in each]) for each in runs],
        }
        for k, one in enumerate(runs[0][0]["classes"])
    ]  # fmt: skip


def _mean_of(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.mean(known) if known else None
