"""Progress on stderr: a bar that counts epochs, or lines where there is no terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from augury.core.text import printable
from augury.jobs.estimate import duration
from augury.train.engine.metrics import figure_of
from augury.train.pools.training import Ended, TrainingJob

# Seconds after which a line tells how far a command is, where there is no terminal for a bar.
EVERY = 60.0

# Seconds after which the time left is told: processes and first steps take several, which say nothing of what follows.
SETTLED = 30.0


class Bar:
    """Counts epochs; `label` names what is being trained. say: prints a line, where there is no terminal."""

    def __init__(self, progress: Progress, total: int, unit: str = "epochs", say: Callable[[str], None] | None = None) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=total, left="")
        self._total, self._unit, self._say = total, unit, say
        self._told: dict[Path, int] = {}
        self._label, self._done, self._old = "", 0, 0
        self._began = time.monotonic()
        self._said = -EVERY

    def label(self, text: str) -> None:
        self._label = text
        self._progress.update(self._task, description=escape(printable(text)))

    def advance(self, count: int = 1) -> None:
        """`count` more are done."""
        self._count(count, None)

    def skip(self, count: int) -> None:
        """`count` were done in an earlier try, and took no time in this one."""
        self._old += count
        self._count(count, None, after=float("inf"))

    def _count(self, count: int, row: dict[str, Any] | None, after: float = EVERY) -> None:
        self._done += count
        now = time.monotonic() - self._began
        left = self._left(now)
        self._progress.update(self._task, advance=count, left=left)
        if self._say is not None and count and (now - self._said >= after or self._done >= self._total):
            self._said = now
            self._say(self._line(row, left))

    def _left(self, gone: float) -> str:
        """How long those that are not done will take, as far as that is known."""
        new, others = self._done - self._old, self._total - self._done
        return f"{duration(gone / new * others)} left" if new and others > 0 and gone >= SETTLED else ""

    def _line(self, row: dict[str, Any] | None, left: str) -> str:
        """How far it is: the epoch's figures, how many are done, and how long the others will take."""
        what = printable(self._label)
        if row is not None and "train_loss" in row:
            what += f", epoch {row['epoch']}: loss {row['train_loss']:.4f}, validation {figure_of(row)}"
        more = f", {left}" if left else ""
        return f"{what} ({self._done:,} of {self._total:,} {self._unit}{more})".lstrip()

    def told(self, job: TrainingJob, row: dict[str, Any]) -> None:
        """An epoch of one of several trainings, which is named."""
        self.label(job.name)
        self.trained(job.folder, row)

    def trained(self, folder: Path, row: dict[str, Any]) -> None:
        """An epoch of the training in a folder; those that it had in an earlier try count once, and as done before."""
        epoch = int(row["epoch"])
        self.skip_to(folder, epoch - 1)
        if self._told[folder] < epoch:
            self._told[folder] = epoch
            self._count(1, row)

    def ended(self, training: Ended) -> None:
        """The end of a training, all of whose epochs now count."""
        self.skip_to(training.folder, training.epochs)

    def skip_to(self, folder: Path, epoch: int) -> None:
        """The training in a folder is past this epoch; what was not told took no time, being of an earlier try or left out."""
        before = self._told.get(folder, 0)
        self._told[folder] = max(before, epoch)
        if epoch > before:
            self.skip(epoch - before)


def heard_by(*listeners: Callable[[dict[str, Any]], None] | None) -> Callable[[dict[str, Any]], None]:
    """All of them, one after another."""

    def tell(row: dict[str, Any]) -> None:
        for listener in listeners:
            if listener is not None:
                listener(row)

    return tell


@contextmanager
def bar(total: int, quiet: bool = False, unit: str = "epochs") -> Iterator[Bar]:
    """A progress bar over `total` epochs (or another `unit`) on stderr; a line a minute, and one at the end, where that is no
    terminal, as under Slurm and in notebooks."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TextColumn("{task.fields[left]}"),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal, transient=True) as progress:
        yield Bar(progress, total, unit, None if quiet or console.is_terminal else _say)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
