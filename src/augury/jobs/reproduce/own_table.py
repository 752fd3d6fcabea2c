"""Our own comparisons on docs/results.md: the table of reduced CIFAR-10 with its picture, and what the papers' claims come to."""

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from math import exp, log
from typing import Any

import numpy as np

from augury.explain.statistics import mean_interval
from augury.jobs.reproduce.claims import Rows, between, difference, sentences
from augury.recipes.recipe import Recipe, RecipeRow, load

TABLE = "reduced_cifar10"
PREFIX = "reduced_"
FIRST = "standard"  # the row that most are compared with
PICTURE = f"images/{TABLE}.svg"
LEAST_SEEDS = 3  # of the rows that are shown
CARD_BEGIN = "Reduced CIFAR-10, ResNet-20 ([results](../../results.md)): "
# The cards that say what their method's rows came to.
CARDS = {
    "op/cutout": ("cutout",), "op/mixup": ("mixup", "mixup-refined", "mixup-statistics"),
    "op/cutmix": ("cutmix", "cutmix-refined", "cutmix-statistics"),
    "policy/randaugment": ("randaugment", "randaugment-stratified"), "policy/trivialaugment": ("trivialaugment",),
    "policy/autoaugment": ("autoaugment-cutout",), "preset/inaugment": ("autoaugment-inaugment",),
    "preset/keep_cutout": ("keep-cutout", "keep-cutout-foreign", "keep-cutout-constant"),
    "preset/keep_randaugment": ("keep-randaugment", "keep-randaugment-foreign", "keep-randaugment-constant"),
    "preset/batch_augment": ("batch-augment-2",), "strategy/ait": ("ait", "standard-400"), "strategy/dml": ("dml",),
    "strategy/multi_ait": ("multi-ait",), "strategy/augmix_jsd": ("augmix-jsd",),
    "strategy/uncertainty": ("uncertainty-one", "uncertainty-proportional", "uncertainty-topk"),
    "strategy/adversarial_autoaugment": ("adversarial-learned", "adversarial-random", "adversarial-fixed"),
    "strategy/manifold_mixup": ("manifold-mixup", "manifold-mixup-refined"),
}  # fmt: skip
_NOT_SHOWN = ("choose-", "risk-", "loss-", "spectrum-", "scale-")
_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 720, 400, 50, 40


def own_rows(results: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The measured rows of our own recipes by their ids, from all files; the values of a row by their seeds.

    Only what was trained as the recipes have it: rows of short and smoke scale are not the table's. A row that was trained in
    two precisions is there in the one that `standard` was trained in with more seeds, of equals that with more rows; the others, by
    their names, are its `also`.
    """
    own = [one for one in results if str(one.get("recipe", "")).startswith(PREFIX) and one["scale"] == "full"]
    every = [
        ({**row, "precision": row.get("precision", one.get("precision"))}, one["seeds"][0])
        for one in own for row in one["rows"] if row["status"] == "measured"
    ]  # fmt: skip
    seeds, ids = Counter[str | None](), Counter[str | None]()
    for row, _ in every:
        seeds[row["precision"]] += len(row["values"]) if row["id"] == FIRST else 0
        ids[row["precision"]] += 1
    first = max(ids, key=lambda precision: (seeds[precision], ids[precision]), default=None)
    found: dict[str, dict[str, Any]] = {}
    for row, seed in sorted(every, key=lambda pair: pair[0]["precision"] != first):
        _add(found, row, seed)
    return found


def _add(found: dict[str, dict[str, Any]], row: Mapping[str, Any], first: int) -> None:
    one = found.setdefault(row["id"], _empty(row))
    if one["precision"] != row["precision"]:
        one = one["also"].setdefault(row["precision"], _empty(row))
    for number, value in enumerate(row["values"]):
        one["by_seed"][first + number] = value
        if number < len(row.get("seconds_device", ())):
            one["device_by_seed"][first + number] = row["seconds_device"][number]


def _empty(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "by_seed": {}, "device_by_seed": {}, "also": {}}


def head(results: Iterable[Mapping[str, Any]]) -> list[str]:
    """The lines of the page before the papers' own tables."""
    found, recipe = own_rows(results), load(TABLE)
    rows = _complete(found, recipe)
    lines = [f"## {recipe.title}", "", *(f"- {note}" for note in recipe.notes), ""]
    shown = _shown(recipe)
    if sum(row.id in rows for row in shown) > 1:
        lines += [f"![Accuracy against cost; the numbers are those of the table]({PICTURE})", ""]
    measured = [row for row in shown if row.id in rows]
    if measured:
        lines += [*_table(measured, rows), ""]
    begun = [f"`{row.id}` ({len(found[row.id]['by_seed'])})" for row in shown if row.id in found and row.id not in rows]
    if begun:
        lines += [f"Begun, with fewer than {LEAST_SEEDS} seeds so far, and not compared: {', '.join(begun)}.", ""]
    missing = [f"`{row.id}`" for row in shown if row.id not in found]
    if missing:
        lines += [f"Not trained yet, {len(missing)} of {len(shown)} rows: {', '.join(missing)}.", ""]
    lines += [*_chosen(recipe, rows), "", "## What the papers claim, and what was seen", ""]
    lines += [
        "Differences are paired by seed, with 95 % intervals; other networks and data than the papers', so that signs can agree,"
    ]
    return [*lines, "and sizes only by chance.", "", *sentences(rows), ""]


def picture(results: Iterable[Mapping[str, Any]]) -> str | None:
    """SVG: accuracy with its 95 % interval against the cost of a training, on a logarithmic axis; None with fewer than two rows.

    Rows of another precision than the first row's, whose minutes cannot be compared, are left out.
    """
    recipe = load(TABLE)
    rows, shown = _complete(own_rows(results), recipe), _shown(recipe)
    points = [
        (number, row.id, _minutes(rows[row.id]), *_mean(rows[row.id]))
        for number, row in enumerate((row for row in shown if row.id in rows), start=1)
        if _minutes(rows[row.id]) and _named(row.id, rows) == row.id
    ]
    return _drawn(points) if len(points) > 1 else None


def top(results: Iterable[Mapping[str, Any]], count: int = 6) -> list[str]:
    """The README's lines: the first rows of the table; nothing as long as there are fewer than two."""
    recipe = load(TABLE)
    rows = _complete(own_rows(results), recipe)
    ready = [row for row in _shown(recipe) if row.id in rows][:count]
    return _table(ready, rows) if len(ready) > 1 else []


def card_sentences(results: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """What stands under "Measured" on the cards of methods with a measured row, by the cards' names."""
    recipe = load(TABLE)
    rows, references = _complete(own_rows(results), recipe), {row.id: row.reference for row in recipe.rows}
    found = {}
    for card, names in CARDS.items():
        said = [_said(name, references[name], rows) for name in names if name in rows]
        if said:
            found[card] = f"{CARD_BEGIN}{'; '.join(said)}."
    return found


def _said(name: str, reference: str | None, rows: Rows) -> str:
    compared = "" if reference is None else _difference(rows[name], reference, rows)
    return f"{_named(name, rows)} {_mean(rows[name])[0]:.2f} %{', ' * bool(compared)}{compared}, n = {len(rows[name]['by_seed'])}"


def _complete(rows: Rows, recipe: Recipe) -> Rows:
    """The rows without those of the table that have fewer than `LEAST_SEEDS` seeds so far."""
    begun = {row.id for row in _shown(recipe) if row.id in rows and len(rows[row.id]["by_seed"]) < LEAST_SEEDS}
    return {name: row for name, row in rows.items() if name not in begun}


def _shown(recipe: Recipe) -> list[RecipeRow]:
    return [row for row in recipe.rows if not row.id.startswith(_NOT_SHOWN)]


def _table(shown: Sequence[RecipeRow], rows: Rows) -> list[str]:
    lines = [
        "| | row | accuracy (95 %) | n | difference (95 %) | million images | processor minutes |",
        "|---|---|---|---|---|---|---|",
    ]
    for number, row in enumerate(shown, start=1):
        found = rows[row.id]
        mean, half = _mean(found)
        spread = "" if half is None else f" ± {half:.2f}"
        compared = "" if row.reference is None else _difference(found, row.reference, rows)
        images, minutes, count = found["counts"]["images"] / 1e6, _minutes(found), len(found["by_seed"])
        cost, name = "" if minutes is None else f"{minutes:.0f}", _named(row.id, rows)
        lines.append(f"| {number} | {name} | {mean:.2f}{spread} | {count} | {compared} | {images:.2f} | {cost} |")
    return lines


def _named(name: str, rows: Rows) -> str:
    """A row's name, with its precision where it is not that of the first row."""
    precision = rows[name]["precision"]
    return name if FIRST not in rows or precision == rows[FIRST]["precision"] else f"{name} ({precision or 'precision unknown'})"


def _difference(found: Mapping[str, Any], name: str, rows: Rows) -> str:
    """The difference to a row as it was trained in the same precision, which is said where the table has it in another."""
    shown = rows.get(name)
    other = shown if shown is None or shown["precision"] == found["precision"] else shown["also"].get(found["precision"])
    made = None if other is None else difference(found, other)
    where = "" if other is shown else f" ({found['precision']})"
    return "" if made is None else f"{made[0]:+.2f}{between(made[1], made[2])} to {name}{where}"


def _mean(row: Mapping[str, Any]) -> tuple[float, float | None]:
    """Mean over the seeds, and half of its 95 % t-interval, None for one seed."""
    mean, _, high = mean_interval(np.array(list(row["by_seed"].values())))
    assert mean is not None
    return mean, None if high is None else high - mean


def _minutes(row: Mapping[str, Any]) -> float | None:
    seconds = list(row["device_by_seed"].values())
    return statistics.mean(seconds) / 60 if seconds else None


def _chosen(recipe: Recipe, rows: Rows) -> list[str]:
    """What was chosen on validation images, with the figures that it was chosen by."""
    found = [f"`{row.id}` {statistics.mean(rows[row.id]['by_seed'].values()):.2f}" for row in recipe.rows
             if row.id.startswith("choose-") and row.id in rows]  # fmt: skip
    said = f"accuracy there, last epoch: {', '.join(found)}" if found else "not trained yet; the recipe holds the usual values"
    return [f"Chosen on validation images, never on the test part: {said}."]


def _distinct(numbers: Sequence[float]) -> list[str]:
    """The numbers with as few decimals as keep them apart, at most three."""
    texts = [[f"{number:.{decimals}f}" for number in numbers] for decimals in range(4)]
    return next((each for each in texts if len(set(each)) == len(numbers)), texts[-1])


def _number_places(dots: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Where the number of each dot begins: beside it, at the first of four places that no dot and no number before it touches."""
    found: list[tuple[float, float]] = []
    for x, y in dots:
        free = [
            (x + right, y + lower) for right, lower in ((6, -5), (-20, -5), (6, 14), (-20, 14))
            if all(abs(x + right - a) >= 15 or abs(y + lower - b) >= 12 for a, b in found)
            and all(abs(x + right + 7 - a) >= 10 or abs(y + lower - 4 - b) >= 8 for a, b in dots if (a, b) != (x, y))
        ]  # fmt: skip
        found.append(free[0] if free else (x + 6, y - 5))
    return found


def _drawn(points: Sequence[tuple[int, str, float | None, float, float | None]]) -> str:
    costs, levels = [log(point[2] or 1) for point in points], [point[3] for point in points]
    reach = [point[4] or 0.0 for point in points]
    low, high = min(a - b for a, b in zip(levels, reach, strict=True)), max(a + b for a, b in zip(levels, reach, strict=True))
    wide, tall = max(max(costs) - min(costs), 0.1), max(high - low, 0.1)

    def across(cost: float) -> float:
        return _LEFT + 30 + (cost - min(costs)) / wide * (_WIDTH - _LEFT - 60)

    def down(level: float) -> float:
        return _HEIGHT - _BOTTOM - 10 - (level - low) / tall * (_HEIGHT - _BOTTOM - 30)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="12">',
             f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>']  # fmt: skip
    shares = [number / 4 for number in range(5)]
    minutes = _distinct([exp(min(costs) + wide * share) for share in shares])
    for share, minute in zip(shares, minutes, strict=True):
        level, cost = low + tall * share, min(costs) + wide * share
        parts.append(f'<text x="{_LEFT - 6}" y="{down(level) + 4:.1f}" text-anchor="end">{level:.1f}</text>')
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - 10}" y1="{down(level):.1f}" y2="{down(level):.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{across(cost):.1f}" y="{_HEIGHT - _BOTTOM + 12}" text-anchor="middle">{minute}</text>')
    parts.append(f'<text x="{_WIDTH / 2:.0f}" y="{_HEIGHT - 8}" text-anchor="middle">processor minutes of a training</text>')
    parts.append(f'<text x="{_LEFT}" y="14">accuracy on the test part, percent; bars: 95 % intervals over seeds</text>')
    dots = [(across(cost), down(level)) for cost, level in zip(costs, levels, strict=True)]
    for (number, name, _, level, half), (x, y), (left, base) in zip(points, dots, _number_places(dots), strict=True):
        title = f"<title>{number} {escape(name)}: {level:.2f}</title>"
        bar = (
            "" if half is None else f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{down(level - half):.1f}" y2="{down(level + half):.1f}"/>'
        )
        parts.append(f'<g stroke="#1f5fa8" fill="#1f5fa8">{title}{bar}<circle cx="{x:.1f}" cy="{y:.1f}" r="4"/></g>')
        parts.append(f'<text x="{left:.1f}" y="{base:.1f}">{number}</text>')
    return "\n".join([*parts, "</svg>", ""])
