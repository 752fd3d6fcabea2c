"""The conclusion of a comparison, in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ResultRow = Mapping[str, Any]
_LONGEST_LIST = 5
NO_SPREAD = "no spread"


@dataclass(frozen=True)
class Measure:
    """The metric that rows are compared by: its title and unit. rising: whether higher is better."""

    title: str = "accuracy"
    unit: str = "%"
    rising: bool = True

    @staticmethod
    def of(result: Mapping[str, Any]) -> Measure:
        """The metric named in a comparison's result.json; accuracy for older files, which do not name one."""
        named = result.get("metric") or {}
        return Measure(**{key: named[key] for key in ("title", "unit", "rising") if key in named})

    @property
    def digits(self) -> int:
        return 1 if self.unit == "%" else 3

    @property
    def differences(self) -> str:
        """The unit of differences."""
        return "points" if self.unit == "%" else self.unit

    def ends(self, low: float | None, high: float | None) -> tuple[float | None, float | None]:
        """An interval's ends for display: percentages are clipped to 0 and 100."""
        return percent(low, high) if self.unit == "%" else (low, high)

    def number(self, value: float | None, *, sign: bool = False) -> str:
        return number(value, self.digits, sign=sign)

    def interval(self, low: float | None, high: float | None, *, sign: bool = False) -> str:
        return interval(low, high, sign=sign, digits=self.digits)


ACCURACY = Measure()


def row_labels(rows: Sequence[ResultRow]) -> list[str]:
    """The shortest names that distinguish the rows: the augmentation, the strategy, or both joined by a middle dot."""
    augments = {row["augment"] for row in rows}
    strategies = {row["strategy"] for row in rows}
    if len(strategies) == 1:
        return [str(row["augment"]) for row in rows]
    if len(augments) == 1:
        return [str(row["strategy"]) for row in rows]
    return [f"{row['augment']} · {row['strategy']}" for row in rows]


def number(value: float | None, digits: int = 1, *, sign: bool = False) -> str:
    """A number for display: with a true minus sign and thousands separators; an en dash for None."""
    if value is None:
        return "–"
    text = f"{value:{'+' if sign else ''},.{digits}f}".replace(",", "\u202f")
    if not any(figure in text for figure in "123456789"):
        text = text.lstrip("+-")
    return text.replace("-", "−")


def interval(low: float | None, high: float | None, *, sign: bool = False, digits: int = 1) -> str:
    """ "[87.1, 92.3]", or "" if there is no interval."""
    return "" if low is None or high is None else f"[{number(low, digits, sign=sign)}, {number(high, digits, sign=sign)}]"


def percent(low: float | None, high: float | None) -> tuple[float | None, float | None]:
    """The ends of a percentage's interval, clipped to 0 and 100, which a t-interval may exceed."""
    return None if low is None else max(low, 0.0), None if high is None else min(high, 100.0)


def bracketed(low: float | None, high: float | None, seeds: int, *, sign: bool = False, digits: int = 1) -> str:
    """An interval in brackets; without one, `NO_SPREAD` for several seeds, which all agree, and "" for a single seed."""
    return interval(low, high, sign=sign, digits=digits) or (NO_SPREAD if seeds > 1 else "")


def paired(row: ResultRow, first: ResultRow) -> int:
    """The number of seeds behind a row's difference from the first row; 0 for the first row itself."""
    if row["verdict"] == "reference":
        return 0
    if "accuracies" not in row:
        return int(row["n"])
    return sum(a is not None and b is not None for a, b in zip(values_of(row), values_of(first), strict=True))


def values_of(row: ResultRow) -> Sequence[float | None]:
    """A row's values of the compared metric, one per seed; its accuracies if result.json has no others."""
    found: Sequence[float | None] = row.get("values", row["accuracies"])
    return found


def interval_notes(rows: Sequence[ResultRow], low: str = "low", high: str = "high", measure: Measure = ACCURACY) -> list[str]:
    """Notes on intervals that are missing or clipped; `low` and `high` are the keys of an interval's ends."""
    notes = []
    if measure.unit == "%" and any(row[low] is not None and (row[low] < 0 or row[high] > 100) for row in rows):
        notes.append(f"Intervals of {'accuracies' if measure == ACCURACY else 'percentages'} are cut off at 0 and 100.")
    if any((r["n"] > 1 and r[low] is None) or (paired(r, rows[0]) > 1 and r["difference_low"] is None) for r in rows):
        notes.append(f"{NO_SPREAD.capitalize()}: all seeds agree exactly, so there is no interval.")
    return notes


def comparison_summary(rows: Sequence[ResultRow], measure: Measure = ACCURACY) -> str:
    """One paragraph: which rows are better, which are worse, which show no difference, and on what basis."""
    labels = row_labels(rows)
    first, others = rows[0], list(zip(labels[1:], rows[1:], strict=True))
    if not others:
        return (
            f"{labels[0]} reaches {_value(first, measure)} on the test part ({_seeds(rows)}). There is nothing to compare it with."
        )
    better = sorted((pair for pair in others if pair[1]["verdict"] == "better"), key=lambda pair: -abs(pair[1]["difference"]))
    worse = sorted((pair for pair in others if pair[1]["verdict"] == "worse"), key=lambda pair: -abs(pair[1]["difference"]))
    silent = [pair for pair in others if pair[1]["verdict"] not in ("better", "worse")]
    sentences = [f"The reference, {labels[0]}, reaches {_value(first, measure)}."]
    for verdict, pairs in (("better", better), ("worse", worse)):
        if pairs:
            said = [f"{label} by {_points(row, measure)}" for label, row in pairs]
            sentences.append(f"{verdict.capitalize()} than {labels[0]}: {_list(said)}.")
    if len(silent) > _LONGEST_LIST:
        rest = "the other " if better or worse else "any of the "
        sentences.append(f"No difference shown for {rest}{len(silent)} rows.")
    elif silent:
        said = [f"{label} ({_signed(row, measure)})" for label, row in silent]
        sentences.append(f"No difference shown: {_list(said)}.")
    if not better and max((row["n"] for row in rows), default=0) > 1:
        sentences.append(f"Nothing here is shown to be better than {labels[0]}.")
    sentences.append(_basis(rows, measure))
    return " ".join(sentences)


def _basis(rows: Sequence[ResultRow], measure: Measure) -> str:
    if max(row["n"] for row in rows) < 2:
        return "One seed cannot distinguish a difference from the noise between seeds: run it with three seeds or more."
    unit = "percentage points" if measure == ACCURACY else f"{measure.differences} of the {measure.title}"
    return (
        f"Differences are in {unit}, paired by seed ({_seeds(rows)}); the brackets are 95 % intervals "
        "that hold for all rows together."
        if len(rows) > 2
        else f"Differences are in {unit}, paired by seed ({_seeds(rows)}), with 95 % intervals in brackets."
    )


def _seeds(rows: Sequence[ResultRow]) -> str:
    counts = sorted({row["n"] for row in rows})
    if counts == [1]:
        return "1 seed"
    return f"{counts[0]} seeds" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"


def _value(row: ResultRow, measure: Measure) -> str:
    named = "" if measure == ACCURACY else f"a {measure.title} of "
    said = f"{named}{measure.number(row['mean'])} {measure.unit} {measure.interval(*measure.ends(row['low'], row['high']))}"
    return said.rstrip()


def _points(row: ResultRow, measure: Measure) -> str:
    if row["difference"] is None:
        return "an unknown amount"
    low, high = row["difference_low"], row["difference_high"]
    if row["difference"] < 0 and low is not None and high is not None:
        low, high = -high, -low
    return f"{measure.number(abs(row['difference']))} {measure.differences} {measure.interval(low, high)}".rstrip()


def _signed(row: ResultRow, measure: Measure) -> str:
    if row["difference"] is None:
        return "no seed in common"
    brackets = measure.interval(row["difference_low"], row["difference_high"], sign=True)
    return f"{measure.number(row['difference'], sign=True)} {brackets}".rstrip()


def _list(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{'; '.join(parts[:-1])}; and {parts[-1]}" if len(parts) > 2 else " and ".join(parts)
