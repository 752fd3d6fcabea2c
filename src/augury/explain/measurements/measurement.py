"""The inputs and outputs of a measurement."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from augury.train.data.dataset import Split
from augury.train.engine.settings import Settings


@dataclass(frozen=True)
class Subject:
    """A trained network under study.

    group: the name shared by networks that differ in the seed alone. model: in evaluation mode, on `device`. mean, std: the
    per-channel normalisation of its images. folder, result: its run's folder and result.json. seen: cache of its latest
    outputs on whole splits, for `augury.explain.measurements.sets`.
    """

    group: str
    seed: int
    model: nn.Module
    mean: tuple[float, ...]
    std: tuple[float, ...]
    settings: Settings
    device: torch.device
    folder: Path = Path()
    result: dict[str, Any] = field(default_factory=dict)
    seen: dict[Any, tuple[Split, Tensor, Tensor]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def name(self) -> str:
        return f"{self.group}, seed {self.seed}"


TableRow = tuple[str | float | None, ...]


@dataclass(frozen=True)
class Table:
    """Rows of text and numbers (numbers with `digits` decimals, None as a dash)."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]
    caption: str = ""
    digits: int = 2


@dataclass(frozen=True)
class Figure:
    """A figure as inline HTML, made by `augury.explain.report.diagrams` or `.figures`."""

    title: str
    html: str
    caption: str = ""


@dataclass(frozen=True)
class Measured:
    """summary: a paragraph in plain words. values: its entry in result.json. tables, figures: for the report."""

    summary: str
    values: dict[str, Any]
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()


def groups_of(subjects: Sequence[Subject]) -> dict[str, list[Subject]]:
    """The networks by group, in order of each group's first appearance."""
    found: dict[str, list[Subject]] = {}
    for subject in subjects:
        found.setdefault(subject.group, []).append(subject)
    return found


def mean_of(seeds: Sequence[Mapping[str, float]], key: str) -> float:
    """The mean of `key` over seeds."""
    return sum(seed[key] for seed in seeds) / len(seeds)


@dataclass(frozen=True)
class Spread:
    """One value per seed: their mean, lowest and highest."""

    values: tuple[float, ...]

    def __iter__(self) -> Iterator[float]:
        return iter(self.values)

    @property
    def mean(self) -> float:
        return sum(self.values) / len(self.values)

    def text(self, digits: int = 2) -> str:
        """ "71.48 (70.90 to 72.01)", or the one value."""
        if len(self.values) == 1:
            return f"{self.mean:.{digits}f}"
        return f"{self.mean:.{digits}f} ({min(self.values):.{digits}f} to {max(self.values):.{digits}f})"
