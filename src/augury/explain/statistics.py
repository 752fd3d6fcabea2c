"""Accuracies over seeds: means with intervals, and paired differences from the first row with simultaneous intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy import optimize, special, stats

from augury.core.errors import InputError

Verdict = Literal["reference", "better", "worse", "no difference shown"]

_POOL_DEGREES = 2.0
_NO_SPREAD = 1e-9


@dataclass(frozen=True, slots=True)
class RowStatistics:
    """One row of a comparison. Values are in percentage points, or in the metric's unit, and None if there are too few seeds.

    n: number of seeds of the row. mean, low, high: mean over them and its t-interval, 95 % by default (None for one seed, or
    if all values agree). difference, difference_low, difference_high: mean of (row - first row) over the seeds that both
    have, and its interval, simultaneous over the rows; None in the first row itself.
    """

    n: int
    mean: float | None
    low: float | None
    high: float | None
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    verdict: Verdict


def compare_rows(
    accuracies: Sequence[Sequence[float | None]], *, confidence: float = 0.95, rising: bool = True
) -> list[RowStatistics]:
    """Means, paired differences from the first row, and verdicts for `accuracies[row][seed]`, in percent; None = missing.

    Rows are paired by seed. With probability `confidence`, *all* intervals of differences contain their true values
    simultaneously. A verdict is "better" or "worse" if the interval excludes zero, else "no difference shown". rising: True
    if more is better, as for accuracies, and False for a loss. The intervals account for the noise between seeds on one
    train/test split, not for the choice of that split. Values without any spread (one seed, or accuracies that agree
    exactly) have no interval: None.

    How the width is computed. A paired t with Bonferroni's correction has seeds-1 degrees of freedom: with 3 seeds and
    5 rows its intervals extend 6 standard deviations of a training run to either side, too wide to show anything. Pooling the
    residual variance of a randomised-block model (row + seed effects) over all rows gives (rows-1)(seeds-1) degrees
    and 2.4 standard deviations, but holds only if all rows are equally noisy; a noisy first row, which is part of every
    comparison, breaks it. So a comparison's variance is moderated: its own, with its seeds-1 degrees, is averaged with
    the pooled one, which has the weight of 2 degrees (the estimator of Smyth 2004, doi:10.2202/1544-6115.1027,
    section 3, with a fixed prior weight, since the rows are too few to estimate it). Degrees of freedom are Satterthwaite's,
    at most seeds+1; the critical value is Dunnett's (1955), many-to-one, correlation 0.5. With two rows all of this
    is exactly the paired t.

    Coverage: percent of 20 000 simulated comparisons in which all intervals held (nominal 95; Monte-Carlo error
    0.15) and, in brackets, the median half-width if the other rows have standard deviation 1. "first x3": the first
    row has 3 times the variance; "last x3": the last row has; "spread": standard deviations from 1.5 (first) to 0.5 in
    equal ratios.

        rows x seeds  noise      paired, Bonferroni  pooled, Dunnett  moderated, Dunnett (used here)
        3 x 3         equal      94.8 (4.2)          94.7 (2.5)       95.3 (2.7)
        3 x 3         last x3    95.2 (5.0)          94.8 (3.1)       95.7 (3.4)
        3 x 3         first x3   95.6 (6.0)          93.6 (3.1)       94.7 (3.6)
        5 x 3         equal      95.3 (6.0)          95.1 (2.4)       97.2 (2.9)
        5 x 3         last x3    95.2 (6.5)          94.5 (2.7)       97.2 (3.3)
        5 x 3         first x3   95.2 (8.5)          90.8 (2.8)       94.9 (3.6)
        5 x 3         spread     95.1 (7.2)          89.4 (2.3)       94.3 (3.1)
        9 x 3         equal      95.2 (8.6)          94.9 (2.4)       98.8 (3.3)
        9 x 3         first x3   95.2 (12.1)         87.4 (2.6)       96.3 (4.0)
        5 x 2         equal      94.9 (34.3)         95.0 (3.5)       96.3 (4.0)
        5 x 2         first x3   95.0 (48.1)         91.8 (4.0)       94.1 (4.8)
        5 x 5         first x3   95.8 (3.5)          90.2 (2.0)       94.4 (2.6)
        9 x 10        equal      95.9 (1.5)          95.0 (1.2)       95.3 (1.4)
        9 x 10        first x3   96.7 (1.9)          86.6 (1.3)       95.0 (1.9)

    Its limit: 5 x 3 with 9 times the variance in the first row covers 91.9 (pooled: 85.3).

    With missing seeds, the block model is fitted by least squares and a difference uses the seeds that both rows have; with
    fewer than two of them it has no interval.

    Raises InputError for no rows, rows of different lengths, values that are not finite, or confidence outside (0, 1).
    """
    table = _table(accuracies)
    if not 0 < confidence < 1:
        raise InputError(f"confidence: {confidence} is not between 0 and 1; give 0.95 for 95 % intervals")
    present = ~np.isnan(table)
    shared = present & present[0]
    compared = [row for row in range(1, len(table)) if shared[row].sum() >= 2]
    pooled_sum, pooled_degrees = _block_residuals(table)
    rows = []
    for row, values in enumerate(table):
        mean, low, high = mean_interval(values[present[row]], confidence)
        verdict: Verdict = "reference" if row == 0 else "no difference shown"
        difference = difference_low = difference_high = None
        if row > 0 and shared[row].any():
            differences = (values - table[0])[shared[row]]
            difference = float(differences.mean())
            width = _half_width(differences, pooled_sum, pooled_degrees, len(compared), confidence)
            if width is not None:
                difference_low, difference_high = difference - width, difference + width
                verdict = _verdict(difference_low, difference_high) if rising else _verdict(-difference_high, -difference_low)
        rows.append(RowStatistics(int(present[row].sum()), mean, low, high, difference, difference_low, difference_high, verdict))
    return rows


def _verdict(low: float, high: float) -> Verdict:
    return "better" if low > 0 else "worse" if high < 0 else "no difference shown"


@lru_cache(maxsize=256)
def dunnett_critical(comparisons: int, degrees: float, confidence: float = 0.95) -> float:
    """Two-sided critical value of Dunnett's many-to-one comparisons: P(max |T_i| <= value) = confidence.

    T is multivariate t with `degrees` degrees of freedom (any real > 0) and all correlations 0.5, as for differences of
    equally noisy rows from one common row. Source: Dunnett 1955, doi:10.1080/01621459.1955.10501294. The relative error is
    at most 1e-5 for degrees >= 1 (against a finer quadrature).
    """
    single = float(stats.t.ppf((1 + confidence) / 2, degrees))
    if comparisons == 1:
        return single
    bonferroni = float(stats.t.ppf(1 - (1 - confidence) / (2 * comparisons), degrees))
    return float(optimize.brentq(lambda value: _coverage(value, comparisons, degrees) - confidence, single, bonferroni))


def _coverage(value: float, comparisons: int, degrees: float) -> float:
    """P(max |T_i| <= value) for T_i = (Z_i + Z_0) / sqrt(2) / s, integrated over Z_0 and s = chi / sqrt(degrees)."""
    common, common_weight, nodes, weight = _quadrature()
    scale = np.sqrt(stats.chi2.ppf((nodes + 1) / 2, degrees) / degrees)[:, None]
    upper = special.ndtr(math.sqrt(2) * value * scale - common)
    lower = special.ndtr(-math.sqrt(2) * value * scale - common)
    return float(weight @ ((upper - lower) ** comparisons @ common_weight) / 2)


@lru_cache(maxsize=1)
def _quadrature() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    common, common_weight = np.polynomial.hermite_e.hermegauss(64)
    nodes, weight = np.polynomial.legendre.leggauss(256)
    return common, common_weight / common_weight.sum(), nodes, weight


def _half_width(
    differences: np.ndarray, pooled_sum: float, pooled_degrees: int, comparisons: int, confidence: float
) -> float | None:
    """Half-width of the simultaneous interval of a mean paired difference; None with fewer than two or no spread."""
    own_degrees = len(differences) - 1
    if own_degrees < 1:
        return None
    own = float(differences.var(ddof=1))
    pooled = 2 * pooled_sum / pooled_degrees  # twice: a difference has the noise of two training runs
    own_share = own_degrees / (own_degrees + _POOL_DEGREES)
    variance = own_share * own + (1 - own_share) * pooled
    if variance < _NO_SPREAD**2:
        return None
    # The pool includes the comparison's own residuals: variance = own_weight * own + (1 - own_weight) * all others'.
    own_weight = own_share + (1 - own_share) * own_degrees / pooled_degrees
    inverse = own_weight**2 / own_degrees
    if pooled_degrees > own_degrees:
        inverse += (1 - own_weight) ** 2 / (pooled_degrees - own_degrees)
    degrees = min(1 / inverse, own_degrees + _POOL_DEGREES)
    return dunnett_critical(comparisons, degrees, confidence) * math.sqrt(variance / len(differences))


def mean_interval(values: np.ndarray, confidence: float = 0.95) -> tuple[float | None, float | None, float | None]:
    """The mean and its t-interval. The mean is None without values, the bounds with fewer than two values or no spread."""
    if len(values) == 0:
        return None, None, None
    mean = float(values.mean())
    if len(values) == 1 or np.ptp(values) < _NO_SPREAD:
        return mean, None, None
    critical = float(stats.t.ppf((1 + confidence) / 2, len(values) - 1))
    width = critical * float(values.std(ddof=1)) / math.sqrt(len(values))
    return mean, mean - width, mean + width


def _block_residuals(table: np.ndarray) -> tuple[float, int]:
    """Residual sum of squares of the row + seed effects model over the values present, and its degrees of freedom."""
    row, seed = np.nonzero(~np.isnan(table))
    values = table[row, seed]
    if len(values) == 0:
        return 0.0, 0
    design = np.concatenate([np.eye(table.shape[0])[row], np.eye(table.shape[1])[seed]], axis=1)
    values = values - values.mean()
    effects, _, rank, _ = np.linalg.lstsq(design, values, rcond=None)
    return float(np.square(values - design @ effects).sum()), len(values) - int(rank)


def _table(accuracies: Sequence[Sequence[float | None]]) -> np.ndarray:
    if not accuracies:
        raise InputError("accuracies: no rows to compare; give at least one")
    lengths = sorted({len(row) for row in accuracies})
    if len(lengths) > 1 or lengths[0] == 0:
        raise InputError(f"accuracies: rows have {lengths} seeds; give all rows the same, None where one is missing")
    for number, row in enumerate(accuracies):
        if any(value is not None and not math.isfinite(value) for value in row):
            raise InputError(f"accuracies: row {number} holds a value that is not finite; give None where missing")
    return np.array([[math.nan if value is None else value for value in row] for row in accuracies], dtype=np.float64)
