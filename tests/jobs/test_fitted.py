"""Tables in a narrow window: nothing is cut, no number is broken, no line is too long."""

import io
import re

import pytest
from rich.console import Console

from augury.jobs.fitted import print_table, table

NAMES = ("crop+flip+keep_cutout(length=8, tau=0.6)", "none", "transfer(sets=[none,rotate])")


def printed(width: int, columns: int, *, terminal: bool = True, costs: tuple[str, ...] = ()) -> str:
    made = table("A title")
    made.add_column("augment", no_wrap=True)
    for number in range(columns):
        made.add_column(f"column {number}", justify="right", no_wrap=True)
    made.add_column("verdict", no_wrap=True)
    for row, name in enumerate(NAMES):
        made.add_row(name, *(f"{row}{number}.25 to 1{row}{number}.75" for number in range(columns)), "no difference shown")
    file = io.StringIO()
    print_table(made, costs, Console(file=file, width=width, force_terminal=terminal, color_system=None, markup=False))
    return file.getvalue()


@pytest.mark.parametrize("columns", [0, 2, 3, 9])
@pytest.mark.parametrize("width", [60, 80, 120])
def test_everything_is_there_and_within_the_window(width: int, columns: int) -> None:
    """Catches a table that is printed as wide as it is, and one that cuts names or numbers to fit."""
    text = printed(width, columns)
    assert max(map(len, text.splitlines())) <= width
    for number in range(columns):
        for row in range(len(NAMES)):
            assert re.search(rf"(?<![\d.]){row}{number}\.25\b", text) and re.search(rf"(?<![\d.])1{row}{number}\.75\b", text)
    letters = re.sub(r"[^a-z]", "", text)
    assert "keep" in letters and "tau" in letters and "shown" in letters


def test_costs_go_before_the_table_is_parted() -> None:
    costs = ("column 3", "column 2")
    narrow, parted = printed(66, 4, costs=costs), printed(66, 4)
    assert "Not shown at this width: column 3.\n" in narrow and "03.25" not in narrow and "02.25" in narrow
    assert narrow.count("augment") == 1 and parted.count("augment") == 2 and "03.25" in parted
    assert "Not shown" not in parted + printed(80, 4, costs=costs)


def test_a_wide_window_and_a_file_get_every_row_on_one_line() -> None:
    for text in (printed(400, 9), printed(60, 9, terminal=False)):
        assert all(any(name in line and "no difference shown" in line for line in text.splitlines()) for name in NAMES)
        assert "Not shown" not in printed(60, 9, terminal=False, costs=("column 1",))
