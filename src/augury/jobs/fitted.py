"""Tables fitted to the window on a terminal, unwrapped when piped."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from augury.core.text import inner, printable

# A box.SIMPLE_HEAD table without padding at its edges has a space at either edge, and three between columns.
_EDGES, _BETWEEN = 2, 3
# Names may be broken anywhere from this width on; numbers only at spaces.
_FIRST_NAME, _NAME = 18, 12


class _Table(Table):
    """Its texts may come from a hostile file; Rich's own colours must reach the terminal as they are."""

    def add_column(self, header: Any = "", *more: Any, **options: Any) -> None:
        super().add_column(_printable(header), *more, **options)

    def add_row(self, *cells: Any, **options: Any) -> None:
        super().add_row(*map(_printable, cells), **options)


def _printable(cell: object) -> Any:
    return printable(cell) if isinstance(cell, str) else cell


def table(title: str | None = None) -> Table:
    """An empty table in the common style."""
    return _Table(box=box.SIMPLE_HEAD, pad_edge=False, title=_printable(title), title_justify="left")


def print_table(made: Table, costs: Sequence[str] = (), console: Console | None = None) -> None:
    """Print a table on stdout with every cell complete and no number broken.

    On a terminal narrower than the table, columns are narrowed, with names and words on several lines. If that is not
    enough, the columns headed by `costs` (the least important first) are dropped, and then the columns are split over
    several tables that repeat the first column. Elsewhere every row is on one line.
    """
    console = console or Console(markup=False, file=inner(sys.stdout))  # a name may contain brackets
    columns = [_Column.of(column.header, [str(c) for c in column.cells], column.justify) for column in made.columns]
    if not console.is_terminal:
        console.width = max(console.width, console.measure(made, options=console.options.update(max_width=10**4)).maximum)
    if _total([column.natural for column in columns]) <= console.width or not console.is_terminal:
        console.print(made)
        return
    dropped: list[str] = []
    for heading in costs:
        if _fits(columns, console.width):
            break
        dropped += [column.heading for column in columns if column.heading == heading]
        columns = [column for column in columns if column.heading != heading]
    for number, part in enumerate(_parts(columns, console.width)):
        console.print(_narrowed(part, console.width, str(made.title) if made.title and number == 0 else None))
    if dropped:
        console.print(f"Not shown at this width: {', '.join(dropped)}.", highlight=False)


@dataclass(frozen=True)
class _Column:
    """natural: the width that breaks no line. least: the width below which a number or a word would be broken."""

    heading: str
    cells: list[str]
    words: bool
    natural: int
    least: int

    @staticmethod
    def of(heading: object, cells: list[str], justify: str) -> "_Column":
        texts = [str(heading), *cells]
        least = max((cell_len(word) for text in texts for word in text.split()), default=1)
        return _Column(str(heading), cells, justify == "left", max(map(cell_len, texts)), least)


def _total(widths: Sequence[int]) -> int:
    return _EDGES + sum(widths) + _BETWEEN * (len(widths) - 1)


def _least(columns: Sequence[_Column]) -> list[int]:
    """The narrowest widths that are still easy to read."""
    caps = [_FIRST_NAME, *[_NAME] * (len(columns) - 1)]
    return [min(column.least, cap) if column.words else column.least for column, cap in zip(columns, caps, strict=True)]


def _fits(columns: Sequence[_Column], width: int) -> bool:
    return _total(_least(columns)) <= width


def _parts(columns: list[_Column], width: int) -> list[list[_Column]]:
    """The columns after the first, in as few groups as fit beside it; a column too wide for any group gets its own."""
    first, *others = columns
    parts = [[first]]
    for column in others:
        if len(parts[-1]) > 1 and not _fits([*parts[-1], column], width):
            parts.append([first])
        parts[-1].append(column)
    return parts


def _narrowed(columns: Sequence[_Column], width: int, title: str | None) -> Table:
    """These columns as wide as the window allows: numbers get space first, then words."""
    widths = _least(columns)
    room = width - _total(widths)
    for place in sorted(range(len(columns)), key=lambda k: (columns[k].words, columns[k].natural - widths[k])):
        more = min(columns[place].natural - widths[place], max(0, room))
        widths[place] += more
        room -= more
    made = table(title)
    for column, wide in zip(columns, widths, strict=True):
        made.add_column(column.heading, justify="left" if column.words else "right", width=wide, overflow="fold")
    for row in zip(*(column.cells for column in columns), strict=True):
        made.add_row(*row)
    return made
