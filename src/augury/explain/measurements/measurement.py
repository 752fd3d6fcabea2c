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

    group: what it is called together with those that differ from it in the seed alone. model: in evaluation mode, on
    `device`. mean, std: per channel, what its images are normalised with. folder, result: its run's folder and result.json.
    seen: what it lately made of whole splits, for `augury.explain.measurements.sets`.
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
    """Rows of words and numbers (shown with `digits` decimals, None as a dash)."""

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
    """summary: a paragraph in plain words. values: what result.json holds of it. tables and figures: what people look at."""

    summary: str
    values: dict[str, Any]
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()


def groups_of(subjects: Sequence[Subject]) -> dict[str, list[Subject]]:
    """The networks by group, in the order in which the groups first appear."""
    found: dict[str, list[Subject]] = {}
    for subject in subjects:
        found.setdefault(subject.group, []).append(subject)
    return found


def mean_of(seeds: Sequence[Mapping[str, float]], key: str) -> float:
    """The mean of a figure over seeds."""
    return sum(seed[key] for seed in seeds) / len(seeds)


@dataclass(frozen=True)
class Spread:
    """A figure over seeds: their mean, and the lowest and the highest."""

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
