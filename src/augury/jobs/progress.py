"""Progress on stderr: a bar that counts epochs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from augury.core.text import printable
from augury.train.pools.training import Ended, TrainingJob


class Bar:
    """Counts epochs; `label` names what is being trained."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=total)
        self._told: dict[Path, int] = {}

    def label(self, text: str) -> None:
        self._progress.update(self._task, description=escape(printable(text)))

    def epoch(self, row: dict[str, Any] | None = None, count: int = 1) -> None:
        self._progress.advance(self._task, count)

    def told(self, job: TrainingJob, row: dict[str, Any]) -> None:
        """An epoch of one of several trainings; those that it had in an earlier try count once."""
        self.label(job.name)
        self._to(job.folder, int(row["epoch"]))

    def ended(self, training: Ended) -> None:
        """The end of a training, all of whose epochs now count."""
        self._to(training.folder, training.epochs)

    def _to(self, folder: Path, epochs: int) -> None:
        before = self._told.get(folder, 0)
        self._told[folder] = max(before, epochs)
        self.epoch(count=self._told[folder] - before)


@contextmanager
def bar(total: int, quiet: bool = False, unit: str = "epochs") -> Iterator[Bar]:
    """A progress bar over `total` epochs (or another `unit`); shown on stderr only if that is a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=quiet, transient=True) as progress:
        yield Bar(progress, total)
