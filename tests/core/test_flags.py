"""Flags are made of the settings: their values, choices and defaults are those of the fields, in words a person wrote."""

import contextlib
import io
import re
from dataclasses import dataclass, fields
from typing import Annotated, Literal

import pytest

from augury.cli import main
from augury.core.flags import flag, flags_of, required
from augury.core.options import Interval
from augury.jobs.patch.settings import PatchSettings
from augury.jobs.search.settings import CHILD_EPOCHS, SearchSettings
from augury.train.engine.settings import Settings


@dataclass(frozen=True)
class Example:
    method: Literal["fast", "slow"] = required("First", "how")
    rate: Annotated[float, Interval(0)] = flag(5e-4, "First", "how much")
    count: Annotated[int, Interval(1)] | None = flag(None, "First", "how many", unset="all")
    parts: tuple[Annotated[float, Interval(0)], ...] = flag((0.3, 0.6), "Second", "where")
    on: bool = flag(True, "Second", "whether", value="BOOL")
    silent: int = 3


def test_values_and_defaults_are_read_from_the_fields() -> None:
    # Catches a default that is typed into a text, one that is not shown, and types that are taken with their limits.
    shown = [(one.option, one.group, one.value, one.help) for one in flags_of(Example, {"count": 7})]
    assert shown == [
        ("--method", "First", "fast|slow", "how"),
        ("--rate", "First", "X", "how much (default: 0.0005)"),
        ("--count", "First", "N", "how many (default: 7)"),
        ("--parts", "Second", "X,X,...", "where (default: 0.3,0.6)"),
        ("--on", "Second", "BOOL", "whether (default: true)"),
    ]
    assert next(one.help for one in flags_of(Example) if one.name == "count") == "how many (default: all)"
    assert Example(method="fast").rate == 5e-4


@pytest.mark.parametrize("kind", [Settings, SearchSettings, PatchSettings], ids=lambda kind: kind.__name__)
def test_every_setting_is_a_flag(kind: type) -> None:
    # Catches a setting that only a config file can give, because nobody wrote words for it. Data is an argument.
    assert {one.name for one in flags_of(kind)} == {part.name for part in fields(kind)} - {"data"}  # type: ignore[arg-type]


def help_of(command: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", "400")
    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit):
        main([command, "--help"])
    return out.getvalue()


def test_help_shows_a_commands_own_defaults_under_headings_and_in_plain_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    # Catches help that tells the trainings' defaults where a search has others, and colour codes in a pipe.
    text = help_of("search", monkeypatch)
    assert re.search(rf"--epochs N +epochs of each child \(default: {CHILD_EPOCHS}\)", text)
    assert re.search(r"--sched\s.*schedule of the learning rate.*\(default: cosine\)", text)
    assert "\nLearning rate:\n" in text and "\x1b" not in text
    patch = help_of("patch", monkeypatch)
    assert "tuned(weight_decay=[...])" in patch
    assert re.search(r"--select last\|validation\|worst_group\s.*default: worst_group", patch)
