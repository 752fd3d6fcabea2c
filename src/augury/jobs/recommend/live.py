"""The race as a table: at the end, and at a terminal while it runs."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from augury.jobs.fitted import table
from augury.jobs.recommend.candidates import Candidate
from augury.train.engine.metrics import Metric, metric_of

Rows = Sequence[dict[str, Any]]


def race_table(rows: Rows, metric: Metric) -> Table:
    """A row for each candidate: its longest trainings so far, and why it left the race."""
    made = table()
    for heading in ("candidate", "epochs", "rounds", f"{metric.title} {metric.unit}", "seconds", "left the race"):
        made.add_column(heading, justify="left" if heading in ("candidate", "left the race") else "right", no_wrap=True)
    for row in rows:
        left = row["dropped_after"]
        said = "not trained" if not row["n"] else "" if left is None else f"{left['why']} (round {left['round']})"
        mean = "" if row["mean"] is None else f"{row['mean']:,.{2 if metric.unit == '%' else 3}f}"
        made.add_row(
            Candidate.of(row).name, "" if row["epochs"] is None else f"{row['epochs']:,}", str(row["n"]), mean,
            f"{row['seconds']:,.0f}", f"failed: {row['error']}" if row["error"] else said,
        )  # fmt: skip
    return made


@dataclass
class Shown:
    """Shows a recommendation while it is made: lines with the minutes that have gone, and at a terminal the race below them."""

    live: Live | None
    quiet: bool
    began: float

    def say(self, text: str) -> None:
        """A line of progress."""
        if self.quiet:
            return
        line = f"{(time.monotonic() - self.began) / 60:5.1f} min  {text}"
        if self.live is not None:
            self.live.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)

    def race(self, rows: Rows, metric: str) -> None:
        """The race as it stands now."""
        if self.live is not None:
            self.live.update(race_table(rows, metric_of(metric)), refresh=True)


@contextmanager
def shown(quiet: bool = False, console: Console | None = None) -> Iterator[Shown]:
    """What `augury recommend` shows on stderr while it runs."""
    console = Console(stderr=True) if console is None else console
    if quiet or not console.is_terminal or console.is_dumb_terminal:
        yield Shown(None, quiet, time.monotonic())
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield Shown(live, quiet, time.monotonic())
