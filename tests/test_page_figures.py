"""Every figure on a page or card that names a file under results/ is one that the file holds, rounded once."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
DECIMAL = re.compile(r"(?<![\w.,/-])[-+]?\d[\d,]*\.\d+(?![\w.]*\d)")
NAMED = re.compile(r"results/((?:reproduced/)?[a-z0-9_]+\.json)")
# What is no measurement of ours: published figures, settings and versions that are written without code's marks.
QUOTED = {
    "docs/measurements.md: MNIST-Correlation": {"71.5", "93.3", "97.8", "0.05"},
    "docs/speed.md: KeepAugment": {"2.0", "1.26", "1.21", "2.15"},
    # Whole loops timed once, and arithmetic from the row above; no file holds them.
    "docs/speed.md: Augmentation on a CPU": {"0.6", "0.7", "0.5", "2.1", "1.2"},
    "docs/cards/strategy/uda.md: Measured": {"0.1"},
}


def sections(page: Path) -> Iterator[tuple[str, str]]:
    """(title, text) of a page's parts, without code, addresses of links and numbers of papers."""
    text = re.sub(r"(?s)```.*?```", "", page.read_text(encoding="utf-8"))
    for part in re.split(r"(?m)^(?=#{1,3} )", text):
        yield part.split("\n", 1)[0].strip("# "), part


def figures(part: str) -> list[str]:
    plain = re.sub(r"`[^`]*`|\]\([^)]*\)|arXiv:[\d.]+|torch \d[\d.]*", "", part)
    return DECIMAL.findall(plain)


def leaves(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        for part in value.values():
            yield from leaves(part)
    elif isinstance(value, list):
        for part in value:
            yield from leaves(part)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)


def means(value: Any) -> Iterator[float]:
    """The means of rows, wherever they stand: pages state differences between them."""
    if isinstance(value, dict):
        yield from (float(value[key]) for key in ("mean", "worst_group", "accuracy") if isinstance(value.get(key), int | float))
        for part in value.values():
            yield from means(part)
    elif isinstance(value, list):
        for part in value:
            yield from means(part)


def held(files: set[str]) -> set[float]:
    """All that the files say: their numbers, shares in percent, differences and ratios between rows."""
    found: set[float] = set()
    for name in files:
        content = json.loads((ROOT / "results" / name).read_text(encoding="utf-8"))
        found |= set(leaves(content))
        rows = set(list(means(content))[:60])
        found |= {a - b for a in rows for b in rows}
        rates = [row["images_per_second"] for row in content.get("rows", []) if row.get("how") == "numba"]
        found |= {a / b for a in rates for b in rates}
    return found | {100 * value for value in found if abs(value) <= 1}


def unknown(shown: list[str], values: set[float]) -> list[str]:
    """Figures that are no value rounded to their number of decimals."""
    missing = []
    for text in shown:
        number, decimals = abs(float(text.replace(",", ""))), len(text.split(".")[1])
        if not any(abs(number - abs(value)) <= 0.5 * 10**-decimals + 1e-9 for value in values):
            missing.append(text)
    return missing


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "cards").rglob("*.md"))]
# docs/results.md is written from results/ by a command, and a test of its own holds it.
PARTS = [
    (page, title, part)
    for page in PAGES if page.name != "results.md"
    for title, part in sections(page) if NAMED.search(part)
]  # fmt: skip


@pytest.mark.parametrize(("page", "title", "part"), PARTS, ids=[f"{p.relative_to(ROOT)}: {t}" for p, t, _ in PARTS])
def test_a_figure_beside_a_results_file_is_the_files(page: Path, title: str, part: str) -> None:
    """Catches a typed figure, one rounded twice (92.4499 as 92.5), and one that outlived its file."""
    shown = [f for f in figures(part) if f not in QUOTED.get(f"{page.relative_to(ROOT)}: {title}", set())]
    assert not unknown(shown, held(set(NAMED.findall(part))))


def test_a_card_that_measured_says_where_it_stands() -> None:
    """Catches figures under "Measured" without a file that holds them."""
    silent = []
    for page in sorted((ROOT / "docs" / "cards").rglob("*.md")):
        # What `augury theory` prints is checked against its own claims; its cards quote a run of it.
        for title, part in sections(page) if page.parent.name != "theory" else ():
            if title == "Measured" and figures(part) and not NAMED.search(part):
                silent.append(str(page.relative_to(ROOT)))
    assert not silent


def test_the_check_sees_what_is_wrong() -> None:
    values = {92.44988, 31.4475, 0.3394}
    assert unknown(["92.4", "+31.4", "33.9"], values | {33.94}) == []
    assert unknown(["92.5", "31.5", "34.0"], values | {33.94}) == ["92.5", "31.5", "34.0"]
    assert figures("a 1.5, `2.5`, [3.5](x/4.5.md) and arXiv:2011.11778, 1,234.5") == ["1.5", "3.5", "1,234.5"]
