"""What `augury.compare` returns."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ComparedRow:
    """One augmentation with one strategy: accuracies in percent on the test part, one per seed, and their statistics.

    low, high: the mean's 95 % interval. difference: from the first row, paired by seed, with its interval; None for the first.
    """

    augment: str
    strategy: str
    accuracies: tuple[float, ...]
    mean: float
    low: float | None
    high: float | None
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    verdict: str


@dataclass(frozen=True)
class Comparison:
    """A finished comparison: its folder, its rows, and the content of result.json."""

    path: Path
    rows: tuple[ComparedRow, ...]
    result: dict[str, Any]


def rows_from(result: dict[str, Any]) -> tuple[ComparedRow, ...]:
    """The rows of a comparison's result.json."""
    return tuple(ComparedRow(**{f.name: _plain(row[f.name]) for f in fields(ComparedRow)}) for row in result["rows"])


def _plain(value: object) -> Any:
    return tuple(value) if isinstance(value, list) else value
