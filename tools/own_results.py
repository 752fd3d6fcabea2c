"""docs/results.md, its picture, and the README's and the cards' figures, from results/: python tools/own_results.py."""

import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from generated import ROOT, main

from augury.jobs.reproduce.own_table import CARD_BEGIN, PICTURE, card_sentences, picture, top
from augury.jobs.reproduce.page import results_in, results_page

_HEADING = "### In one table with others"
_TABLE = re.compile(r"^\| \| row \| accuracy.*\n(?:\|.*\n)+", re.MULTILINE)
_SAID = re.compile(rf"^{re.escape(CARD_BEGIN)}.*\n(?:.+\n)*", re.MULTILINE)


def readme(text: str, lines: Sequence[str]) -> str:
    """The README with these lines as its table of our own rows."""
    made, count = _TABLE.subn(lambda _: "\n".join([*lines, ""]), text)
    if count != 1:
        raise SystemExit(f"README.md: {count} tables begin with '| | row | accuracy', not one")
    return made


def card(text: str, said: str) -> str:
    """A card with this sentence in place of the last one, or in a section of its own at its end."""
    filled = textwrap.fill(said, 132, break_long_words=False, break_on_hyphens=False) + "\n"
    made, count = _SAID.subn(lambda _: filled, text)
    return made if count else f"{text.rstrip()}\n\n{_HEADING}\n\n{filled}"


def texts() -> dict[Path, str]:
    """What all files say that show our own measurements, by their paths."""
    results: Sequence[Mapping[str, Any]] = list(results_in(ROOT / "results").values())
    made = {ROOT / "docs" / "results.md": results_page(ROOT / "results")}
    drawn, lines = picture(results), top(results)
    if drawn is not None:
        made[ROOT / "docs" / PICTURE] = drawn
    if lines:
        made[ROOT / "README.md"] = readme((ROOT / "README.md").read_text(encoding="utf-8"), lines)
    for name, said in card_sentences(results).items():
        path = ROOT / "docs" / "cards" / f"{name}.md"
        made[path] = card(path.read_text(encoding="utf-8"), said)
    return made


if __name__ == "__main__":
    sys.exit(main("own_results.py", (__doc__ or "").splitlines()[0], texts()))
