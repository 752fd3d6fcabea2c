"""The report's words, figures and page."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from importlib import resources
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from PIL import Image

from augury.core.errors import InputError
from augury.explain.measurements.measurement import Figure, Measured, Table
from augury.explain.pages.page import comparison_page, diagnosis_page, train_page
from augury.explain.pages.patch import Part, patch_page
from augury.explain.pages.theory import theory_page
from augury.explain.report.diagrams import line_panel
from augury.explain.report.figures import accuracy_intervals, learning_curves
from augury.explain.report.palette import row_style
from augury.explain.report.sheet import Sheet
from augury.explain.report.summary import comparison_summary, interval, number, row_labels
from augury.explain.statistics import compare_rows
from augury.explain.theory.claim import Checked, Claim
from augury.jobs.recommend.report import race_table
from augury.jobs.tables import comparison_table

VOID = {"meta", "img", "br", "wbr", "line", "path", "use", "rect", "link", "input", "hr"}


class Outline(HTMLParser):
    """Collects tags with attributes and fails where tags do not nest."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def rows_of(table: Mapping[str, Sequence[float | None]], strategy: str = "erm") -> list[dict[str, Any]]:
    rows = []
    for (name, values), row in zip(table.items(), compare_rows(list(table.values())), strict=True):
        shown = {key: getattr(row, key) for key in row.__slots__}
        rows.append({"augment": name, "strategy": strategy, "accuracies": values, "images_per_second": 10.0} | shown)
    return rows


def test_the_page_refers_to_nothing_outside(comparison: dict[str, Any]) -> None:
    page = comparison_page(**comparison)
    text = re.sub(r"data:image/png;base64,[\w+/=]+", "", page).replace("url(#", "")
    assert not re.search(r"https?:|//[a-z]|@import|url\(", text)
    for tag, attributes in Outline(page).tags:
        assert tag not in ("link", "iframe", "object")
        for name in ("src", "href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/"))


def test_ids_are_unique_and_all_references_resolve(comparison: dict[str, Any]) -> None:
    tags = Outline(comparison_page(**comparison)).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = [(attributes.get("href") or "")[1:] for _, attributes in tags if "href" in attributes]
    clips = [re.findall(r"url\(#([^)]*)\)", attributes.get("clip-path") or "") for _, attributes in tags]
    assert used and set(used) | {name for clip in clips for name in clip} <= set(ids)


def test_what_users_name_is_escaped(comparison: dict[str, Any]) -> None:
    hostile = "<script>alert(1)</script>\"'&$x_1$"
    rows = rows_of({"none": [90.0, 91.0], hostile: [95.0, 96.5]}, strategy=hostile)
    page = comparison_page(
        {"rows": rows},
        settings={hostile: hostile},
        curves={"none": comparison["curves"]["none"], hostile: comparison["curves"]["mixup"]},
        sheets=[Sheet(hostile, hostile, comparison["sheets"][0].png)],
        notes=[hostile],
        title=hostile,
    )
    assert "<script>alert" not in page
    assert [tag for tag, _ in Outline(page).tags].count("script") == 1
    assert "$x_1$" in learning_curves({hostile: comparison["curves"]["mixup"], "b": comparison["curves"]["none"]})


def test_every_row_keeps_its_colour_in_table_and_figures(comparison: dict[str, Any]) -> None:
    rows = comparison["result"]["rows"]
    figures = accuracy_intervals(rows), learning_curves(comparison["curves"]), comparison_page(**comparison)
    for index in range(len(rows)):
        assert all(row_style(index).colour in figure for figure in figures)
    assert len({row_style(index) for index in range(25)}) == 25


def test_curves_skip_what_is_missing_or_not_finite() -> None:
    broken: list[dict[str, Any]] = [
        {"epoch": 1, "train_loss": float("nan"), "validation_accuracy": None},
        {"epoch": 2, "train_loss": 1.0},
    ]
    drawn = learning_curves({"a": [broken, [{"epoch": 2, "train_loss": 2.0}]]})
    assert "Training loss" in drawn and "Validation" not in drawn
    assert learning_curves({"a": [[]]}) == learning_curves({}) == ""


def test_a_single_epoch_has_a_whole_number_on_its_axis() -> None:
    """Catches ticks at epochs 0.960, 0.975, ..."""
    drawn = learning_curves({"a": [[{"epoch": 1, "train_loss": 1.25}]]})
    words = re.findall(r">\s*([\d.]+)\s*</text>", drawn)
    assert "1" in words and not [word for word in words if word.startswith(("0.9", "1.0"))]


def test_an_axis_of_whole_numbers_has_whole_ticks() -> None:
    """Catches children 1.25, 1.50, ... of a search."""
    points = [(n, 50.0 + n, 50.0 + n, 50.0 + n) for n in (1.0, 2.0, 3.0)]
    words = re.findall(r">\s*([\d.]+)\s*</text>", line_panel("Reward", {"a": points}, ("child", "accuracy")))
    assert {"1", "2", "3"} <= set(words) and "1.25" not in words and "1.5" not in words


def test_labels_that_pillows_and_matplotlibs_fonts_lack_are_drawn_by_the_page() -> None:
    assert "数字" in accuracy_intervals(rows_of({"none": [90.0, 91.0], "数字": [95.0, 96.5]}))


def test_large_sheets_are_made_to_fit(comparison: dict[str, Any]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (900, 900, 3), dtype=np.uint8)
    target = io.BytesIO()
    Image.fromarray(noise).save(target, "PNG")
    page = comparison_page(**(comparison | {"sheets": [Sheet(f"{n}", "", target.getvalue()) for n in range(8)]}))
    assert len(page.encode()) < 5_000_000
    assert page.count("data:image/jpeg") == 8


def test_the_summary_says_the_verdicts() -> None:
    rows = rows_of({"none": [90.0, 91.0, 90.5], "good": [95.2, 96.1, 95.4], "bad": [85.2, 86.1, 85.9], "same": [90.2, 90.9, 90.3]})
    said = comparison_summary(rows)
    low, high = rows[2]["difference_low"], rows[2]["difference_high"]
    assert f"Better than none: good by 5.1 points {interval(rows[1]['difference_low'], rows[1]['difference_high'])}." in said
    assert f"Worse than none: bad by 4.8 points {interval(-high, -low)}." in said
    assert "No difference shown: same (0.0" in said and "hold for all rows together" in said
    assert "Nothing here" not in said
    assert "Nothing here is shown to be better than none." in comparison_summary([rows[0], rows[3]])


def test_the_summary_of_one_seed_and_of_one_row() -> None:
    assert "One seed cannot distinguish" in comparison_summary(rows_of({"none": [90.0], "good": [99.0]}))
    assert "nothing to compare it with" in comparison_summary(rows_of({"none": [90.0, 91.0]}))
    many = {"none": [90.0, 91.0, 92.0]} | {f"a{n}": [90.0, 91.5, 91.0] for n in range(8)}
    assert "No difference shown for any of the 8 rows." in comparison_summary(rows_of(many))


def test_intervals_stay_percentages_and_say_where_there_is_no_spread(capsys: pytest.CaptureFixture[str]) -> None:
    """Catches an interval from 25 to 107 %, and a blank cell where all seeds agree."""
    rows = rows_of({"none": [62.0, 70.0], "tied": [100.0, 100.0], "high": [95.0, 99.0]})
    assert rows[0]["high"] > 100 and rows[2]["high"] > 100 and rows[1]["low"] is None
    rows = [dict(row, counts=dict.fromkeys(("images", "forward", "backward", "steps"), 1), networks=[{}], seconds_training=1.0)
            for row in rows]  # fmt: skip
    page = comparison_page({"rows": rows}, settings={}, curves={}, sheets=[], notes=[])
    comparison_table({"rows": rows})
    printed = capsys.readouterr().out
    wide = f"{number(rows[0]['high'])}]"
    assert wide not in page and f"[{number(rows[0]['low'])}, 100.0]" in page and f"{rows[0]['low']:.2f} to 100.00" in printed
    for text in (page, printed):
        assert "no spread" in text and "cut off at 0 and 100" in text and "agree exactly" in text
    quiet = comparison_page({"rows": rows_of({"none": [62.0], "a": [70.0]})}, settings={}, curves={}, sheets=[], notes=[])
    assert "spread" not in quiet and "cut off" not in quiet


def test_row_labels_are_as_short_as_can_be() -> None:
    def rows(*pairs: tuple[str, str]) -> list[dict[str, Any]]:
        return [{"augment": augment, "strategy": strategy} for augment, strategy in pairs]

    assert row_labels(rows(("a", "erm"), ("b", "erm"))) == ["a", "b"]
    assert row_labels(rows(("a", "erm"), ("a", "ait"))) == ["erm", "ait"]
    assert row_labels(rows(("a", "erm"), ("b", "ait"))) == ["a · erm", "b · ait"]


@pytest.mark.parametrize(
    ("value", "digits", "sign", "text"),
    [
        (-3.04, 1, True, "−3.0"),
        (-0.04, 1, True, "0.0"),
        (0.5, 1, True, "+0.5"),
        (12345.6, 0, False, "12\u202f346"),
        (None, 1, True, "–"),
    ],
)
def test_numbers(value: float | None, digits: int, sign: bool, text: str) -> None:
    assert number(value, digits, sign=sign) == text


def test_pages_of_one_seed_missing_seeds_and_bare_results(comparison: dict[str, Any]) -> None:
    bare: dict[str, Any] = {"settings": {}, "curves": {}, "sheets": [], "notes": []}
    tables: list[dict[str, list[float | None]]] = [
        {"none": [90.0]},
        {"none": [90.0], "a": [91.0]},
        {"none": [90.0, 91.0, None], "a": [91.0, None, 95.0]},
        {"none": [90.0, None], "a": [None, 91.0], "b": [None, None]},
    ]
    for table in tables:
        Outline(comparison_page({"rows": rows_of(table)}, **bare))
    with pytest.raises(InputError, match="rows"):
        comparison_page({"rows": []}, **bare)


def test_costs_that_differ_are_columns(comparison: dict[str, Any]) -> None:
    rows = [dict(row) for row in comparison["result"]["rows"]]
    assert "12\u202f000 images seen" in comparison_page(**comparison)
    rows[1]["counts"] = dict(rows[1]["counts"], forward=24000)
    page = comparison_page(**(comparison | {"result": {"rows": rows}}))
    assert ">Forward passes</th>" in page and ">Images seen</th>" not in page


def test_the_page_of_a_training(comparison: dict[str, Any]) -> None:
    result = {
        "version": 1,
        "accuracy": 96.3,
        "accuracy_top5": 99.9,
        "loss": 0.14321,
        "counts": {"steps": 240},
        "seconds": {"wall": 5.0},
    }
    page = train_page(
        result,
        settings={"Data": "digits"},
        curves=comparison["curves"]["mixup"][0],
        sheets=comparison["sheets"],
        notes=[],
        title="A run",
    )
    Outline(page)
    for text in ("96.30 %", "99.90 %", "0.1432", "240", "Validation accuracy", "<h1>A run</h1>"):
        assert text in page


def test_text_has_contrast_in_both_schemes() -> None:
    """WCAG's 4.5, on the page, on the ground of lines to paste, and on the darkest cell of a confusion matrix."""
    style = (resources.files("augury") / "explain" / "pages" / "page.css").read_text(encoding="utf-8")
    schemes = [dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)]
    light, dark, *_ = schemes
    colour, share = re.search(r"color-mix\(in srgb, (#\w{6}) calc\(var\(--share\) \* ([.\d]+)\)", style).groups()  # type: ignore
    for colours in (light, dark):
        for name in ("ink", "muted", "better", "worse"):
            assert contrast(colours[name], colours["ground"]) >= 4.5, (name, colours)
        for ground in (colours["soft"], mixed(colour, colours["ground"], float(share))):
            assert contrast(colours["ink"], ground) >= 4.5, (ground, colours)


def pages(comparison: dict[str, Any]) -> dict[str, str]:
    """A page of every kind, with a table, a figure and pictures."""
    table = Table("Groups", ("group", "accuracy"), (("even", 98.0), ("odd", 77.5)))
    figure = Figure("Curves", learning_curves(comparison["curves"]), "Every seed.")
    parts: dict[str, Any] = {"settings": {"Data": "digits"}, "notes": ["A note."]}
    claim = Claim("It holds.", "a paper", "below 1", "0.1", True)
    row = dict(candidate="mixup", augment="mixup", strategy="erm", epochs=3, n=2, mean=90.0, interval=(88.0, 92.0), seconds=3.0)
    race = {"metric": "accuracy", "rows": [row | {"dropped_after": None, "error": None, "refine_share": 0.0}]}
    return {
        "compare": comparison_page(**comparison),
        "recommend": comparison_page(**comparison, figures=[("The race", race_table(race), "How it was run.")]),
        "train": train_page({"accuracy": 96.3}, curves=comparison["curves"]["mixup"][0], sheets=comparison["sheets"], **parts),
        "diagnose": diagnosis_page({"harm": Measured("Words.", {}, (table,), (figure,))}, summary="Words.", **parts),
        "patch": patch_page([Part("Found", "Words.", (figure,), (table,), tuple(comparison["sheets"]))], summary="Words.", **parts),
        "theory": theory_page({"taylor": Checked("Words.", (claim,), (table,), (figure,))}, summary="Words.", **parts),
    }


def test_pages_are_readable_by_all(comparison: dict[str, Any]) -> None:
    """A language, headings that skip no level, header cells that say what they head, words for every picture, named regions."""
    for kind, page in pages(comparison).items():
        tags = Outline(page).tags
        levels = [int(tag[1]) for tag, _ in tags if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1 and levels.count(1) == 1, kind
        assert all(later <= earlier + 1 for earlier, later in pairwise(levels)), (kind, levels)
        assert dict(tags)["html"]["lang"] == "en" and [tag for tag, _ in tags].count("main") == 1
        for tag, given in tags:
            assert tag != "th" or given.get("scope") in ("col", "row"), kind
            assert tag != "img" or given.get("alt"), kind
            drawn = tag == "svg" and given.get("aria-hidden") != "true"
            assert not drawn or (given.get("role") == "img" and given.get("aria-label")), kind
            assert "tabindex" not in given or given.get("aria-label"), kind


def mixed(one: str, other: str, share: float) -> str:
    """`share` of one colour in another."""
    parts = [(int(one[k : k + 2], 16), int(other[k : k + 2], 16)) for k in (1, 3, 5)]
    return "#" + "".join(f"{round(share * a + (1 - share) * b):02x}" for a, b in parts)


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, as WCAG 2 defines it."""
    light = []
    for colour in (one, other):
        parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        light.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(light) + 0.05) / (min(light) + 0.05)


def test_a_page_leaves_out_what_says_nothing(comparison: dict[str, Any]) -> None:
    # Top-5 of two classes, and the median over a single epoch.
    result = {"accuracy": 71.5, "accuracy_top5": None, "loss": 0.6, "last": 70.0, "best": 70.0, "median_last_10": 70.0}
    for epochs, words in ((1, ""), (4, "Median of the last 4 epochs, validation")):
        page = train_page(result | {"epochs": epochs}, settings={}, curves=[], sheets=[], notes=[])
        assert "Top-5" not in page and ("Median" in page) == bool(words) and words in page
    assert "Top-5" in train_page(result | {"accuracy_top5": 99.0}, settings={}, curves=[], sheets=[], notes=[])


def test_cells_are_sorted_by_the_number_that_they_begin_with() -> None:
    from augury.explain.pages.page import cell_text

    for text, value in (("1.05e-01", 0.105), ("256,000", 256000), ("+0.13", 0.13), ("98.0 (97.7 to 98.4)", 98), ("-2 points", -2)):
        shown, key = cell_text(text, 2)
        assert shown == text and float(str(key)) == value
    assert cell_text("crop+flip(p=1)", 2)[1] == "crop+flip(p=1)"
