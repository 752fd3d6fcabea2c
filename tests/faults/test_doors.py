"""Every front door refuses every wrong type with InputError that names the argument: thousands of calls, counted."""

import inspect
import re
from pathlib import Path

import pytest
from doors import calls, doors

import augury

RELIABILITY = Path(__file__).parents[2] / "docs" / "reliability.md"


def test_doors_take_a_thing_or_refuse_it_in_one_short_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    failed, tried = [], 0
    for door in doors():
        for words, call in calls(door):
            tried += 1
            try:
                call()
            except (augury.InputError, augury.RunError) as error:
                if len(str(error)) > 600 or not str(error).isprintable():
                    failed.append(f"{words}: {str(error)[:100]!r}")
            except Exception as error:
                failed.append(f"{words}: {type(error).__name__}: {str(error)[:100]}")
    assert not failed, f"{len(failed)} of {tried}\n" + "\n".join(failed[:40])
    assert not [path for path in tmp_path.rglob("*") if path.is_file()], "something was written"
    said = re.search(r"([0-9,]+) calls", RELIABILITY.read_text(encoding="utf-8"))
    assert said is not None and tried >= int(said[1].replace(",", "")) >= 10_000


def test_a_door_keeps_its_signature() -> None:
    assert list(inspect.signature(augury.pipeline).parameters)[:2] == ["augmentation", "seed"]
    with pytest.raises(augury.InputError, match=r"pipeline\(seed='a'\) must be a whole number, got str"):
        augury.pipeline("crop", seed="a")  # type: ignore[arg-type]
