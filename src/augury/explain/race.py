"""Races: finds the rows that are significantly worse than the best one, at an error rate that holds over all looks."""

import math
from collections.abc import Sequence

from scipy import stats

from augury.explain.statistics import compare_rows

Values = Sequence[Sequence[float | None]]


def error_at(look: int, error_rate: float) -> float:
    """The part of the error rate that a look (counted from 1) may spend: 6 / (pi look)^2 of it, so that all looks together stay
    within it."""
    return error_rate * 6 / (math.pi * look) ** 2


def leader_of(values: Values, rising: bool = True) -> int:
    """The row with the best mean over the rounds that all rows share, or over each row's own rounds if they share none."""
    shared = [k for k in range(len(values[0])) if all(row[k] is not None for row in values)]

    def mean(row: Sequence[float | None]) -> float:
        known = [row[k] for k in shared] if shared else row
        kept = [value for value in known if value is not None]
        return -math.inf if not kept else (1 if rising else -1) * sum(kept) / len(kept)

    return max(range(len(values)), key=lambda row: mean(values[row]))


def shown_worse(values: Values, *, look: int, error_rate: float, rising: bool = True) -> list[int]:
    """Rows of `values[row][round]` that are significantly worse than the row with the best mean, at this look (counted from 1).

    Rows are paired by round. The probability that the truly best row is ever among them is at most `error_rate`: a row is worse
    than the leader if the simultaneous interval of their difference, with Dunnett's critical value for all rows, excludes zero at
    `error_at(look)`. If such a row were the best one, its interval to the leader, with the row as Dunnett's control, would be one
    of those that hold simultaneously at that level (Hsu 1981, comparisons with the best).
    """
    if len(values) < 2:
        return []
    leader = leader_of(values, rising)
    order = [leader, *(row for row in range(len(values)) if row != leader)]
    found = compare_rows([values[row] for row in order], confidence=1 - error_at(look, error_rate), rising=rising)
    return [row for row, statistics in zip(order, found, strict=True) if statistics.verdict == "worse"]


def seeds_to_settle(differences: Sequence[float], confidence: float = 0.95, most: int = 1000) -> int | None:
    """The number of paired differences needed for a t-interval to exclude zero, if mean and spread stay as they are. None if it
    exceeds `most`, with fewer than two differences, or if mean or spread is 0."""
    count = len(differences)
    if count < 2:
        return None
    mean = sum(differences) / count
    spread = math.sqrt(sum((value - mean) ** 2 for value in differences) / (count - 1))
    if spread == 0 or mean == 0:
        return None
    for n in range(2, most + 1):
        if stats.t.ppf((1 + confidence) / 2, n - 1) * spread / math.sqrt(n) < abs(mean):
            return n
    return None
