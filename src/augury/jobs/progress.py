"""Progress on stderr: a bar that counts epochs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from augury.core.text import printable


class Bar:
    """Counts epochs; `label` names what is being trained."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=total)

    def label(self, text: str) -> None:
        self._progress.update(self._task, description=escape(printable(text)))

    def epoch(self, row: dict[str, Any] | None = None, count: int = 1) -> None:
        self._progress.advance(self._task, count)


@contextmanager
def bar(total: int, quiet: bool = False, unit: str = "epochs") -> Iterator[Bar]:
    """A progress bar over `total` epochs (or another `unit`); shown on stderr only if that is a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=quiet, transient=True) as progress:
        yield Bar(progress, total)
