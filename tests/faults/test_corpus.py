"""Every bad input of the corpus is refused in one short line that names no function of ours, and steers no terminal."""

import re
from pathlib import Path

import pytest
from corpus import cases

import augury

RELIABILITY = Path(__file__).parents[2] / "docs" / "reliability.md"
# What Python says of its functions, and the names of things that are nobody's business.
INNER = re.compile(
    r"\w+\(\) (got|takes|missing)|positional argument|keyword argument|<locals>|object at 0x|Traceback|NoneType' object"
)


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> dict[str, BaseException | None]:
    """What each case ended with."""
    found: dict[str, BaseException | None] = {}
    for number, (name, read) in enumerate(cases()):
        folder, key = tmp_path_factory.mktemp("case"), f"{number} {name}"
        try:
            read(folder)
            found[key] = None
        except Exception as error:
            found[key] = error
    return found


def test_all_are_refused(refused: dict[str, BaseException | None]) -> None:
    wrong = {name: repr(error)[:150] for name, error in refused.items() if not isinstance(error, augury.InputError)}
    assert not wrong, "\n".join(f"{name}: {error}" for name, error in wrong.items())


def test_in_one_short_line_for_people(refused: dict[str, BaseException | None]) -> None:
    said = {name: str(error) for name, error in refused.items()}
    long = {k: text for k, text in said.items() if len(text) > 600 or "\n" in text or not text.isprintable() or INNER.search(text)}
    assert not long, "\n".join(f"{name}: {text[:200]!r}" for name, text in long.items())


def test_as_many_as_the_page_says(refused: dict[str, BaseException | None]) -> None:
    said = re.search(r"([0-9]+) bad inputs", RELIABILITY.read_text(encoding="utf-8"))
    assert said is not None and int(said[1]) == len(refused) >= 300
