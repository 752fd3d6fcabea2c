"""A comparison as `augury compare` leaves it, with curves and sheets, for the tests of the report."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from augury.explain.report.sheet import Sheet, sheet
from augury.explain.statistics import compare_rows

MEANS = {"none": 91.2, "standard": 87.6, "cutout(length=8)": 91.5, "randaugment": 96.3, "mixup": 92.5}


@pytest.fixture(scope="session")
def comparison() -> dict[str, Any]:
    """result.json of five augmentations and three seeds, and all that a page needs beside it."""
    generator = np.random.default_rng(0)
    accuracies = [[round(mean + value, 2) for value in generator.normal(scale=0.7, size=3)] for mean in MEANS.values()]
    rows = []
    for name, values, row in zip(MEANS, accuracies, compare_rows(accuracies), strict=True):
        shown = {key: getattr(row, key) for key in row.__slots__}
        counts = {"images": 12000, "forward": 12000, "backward": 12000, "steps": 240}
        speed = float(generator.uniform(1000, 3000))
        rows.append(
            {"augment": name, "strategy": "erm", "accuracies": values, "images_per_second": speed, "counts": counts} | shown
        )
    curves = {name: [_epochs(mean, generator) for _ in range(3)] for name, mean in MEANS.items()}
    before = np.kron(generator.integers(0, 256, (4, 3, 8, 8), dtype=np.uint8), np.ones((1, 1, 4, 4), np.uint8))
    draws = [np.roll(before, 4 * step, axis=3) for step in range(1, 5)]
    captions = [[f"rotate {10 * step}°, contrast 1.{step}"] * 4 for step in range(1, 5)]
    return {
        "result": {"version": 1, "rows": rows},
        "settings": {"Data": "digits", "Model": "small_cnn", "Epochs": "60", "Seeds": "0, 1, 2", "Hardware": "2 CPU cores"},
        "curves": curves,
        "sheets": [Sheet("randaugment", "Four images, four draws each.", sheet(before, draws, captions, title="randaugment"))],
        "notes": ["Augury 0.1.0, torch 2.9."],
    }


def _epochs(final: float, generator: np.random.Generator) -> list[dict[str, float]]:
    def accuracy(epoch: int) -> float:
        return float(final - 80 * np.exp(-epoch / 6) + generator.normal(scale=0.6))

    return [{"epoch": n, "train_loss": 2.3 * np.exp(-n / 12) + 0.05, "validation_accuracy": accuracy(n)} for n in range(1, 61)]
