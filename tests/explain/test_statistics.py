"""Intervals and verdicts over seeds, against SciPy, published tables, simulation and properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from augury.core.errors import InputError
from augury.explain.statistics import RowStatistics, _verdict, compare_rows, dunnett_critical, mean_interval

# Dunnett 1964, Table II: two-sided 5 % points for 1, 2, 3, 4 comparisons.
PUBLISHED = {5: (2.57, 3.03, 3.29, 3.48), 10: (2.23, 2.57, 2.76, 2.89), 20: (2.09, 2.38, 2.54, 2.65)}

SILENT = "no difference shown"

tables = st.tuples(st.integers(2, 5), st.integers(2, 4)).flatmap(
    lambda shape: st.lists(
        st.lists(st.floats(0, 100).map(lambda value: round(value, 2)), min_size=shape[1], max_size=shape[1]),
        min_size=shape[0],
        max_size=shape[0],
    )
)


@pytest.mark.parametrize("degrees", PUBLISHED)
def test_critical_values_are_the_published_ones(degrees: int) -> None:
    values = [dunnett_critical(comparisons, degrees) for comparisons in (1, 2, 3, 4)]
    np.testing.assert_allclose(values, PUBLISHED[degrees], atol=0.0051)


@pytest.mark.parametrize(("comparisons", "size"), [(2, 3), (3, 5)])
def test_critical_value_is_that_of_scipy_dunnett(comparisons: int, size: int) -> None:
    generator = np.random.default_rng(0)
    samples = generator.normal(size=(comparisons + 1, size))
    interval = stats.dunnett(*samples[1:], control=samples[0], rng=generator).confidence_interval()
    pooled = samples.var(axis=1, ddof=1).mean()
    critical = (interval.high - interval.low) / 2 / np.sqrt(2 * pooled / size)
    degrees = (comparisons + 1) * (size - 1)
    np.testing.assert_allclose(critical, dunnett_critical(comparisons, degrees), rtol=0.005)  # SciPy's own tolerance


@pytest.mark.parametrize("degrees", [1.0, 1.6, 3.5])
def test_critical_value_holds_for_few_and_fractional_degrees(degrees: float) -> None:
    generator = np.random.default_rng(3)
    draws = 200_000
    common, own = generator.normal(size=(draws, 1)), generator.normal(size=(draws, 4))
    scale = np.sqrt(generator.chisquare(degrees, size=(draws, 1)) / degrees)
    held = (abs(common + own) / np.sqrt(2) / scale <= dunnett_critical(4, degrees)).all(axis=1).mean()
    assert held == pytest.approx(0.95, abs=0.002)


def test_two_rows_are_the_paired_t_test() -> None:
    first, second = [90.1, 91.4, 89.7, 90.9], [91.0, 92.9, 90.2, 92.6]
    row = compare_rows([first, second])[1]
    interval = stats.ttest_rel(second, first).confidence_interval()
    assert (row.difference_low, row.difference_high) == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert row.verdict == "better"


def test_mean_interval_is_the_t_interval() -> None:
    values = [90.1, 91.4, 89.7]
    row = compare_rows([values])[0]
    low, high = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
    assert (row.mean, row.low, row.high) == pytest.approx((np.mean(values), low, high))
    assert (row.n, row.verdict, row.difference, row.difference_low) == (3, "reference", None, None)
    assert mean_interval(np.array(values)) == pytest.approx((np.mean(values), low, high)), "of 95 % unless another is asked for"
    assert mean_interval(np.array([])) == (None, None, None) and mean_interval(np.array([5.0])) == (5.0, None, None)


def simulated(deviations: list[float], seeds: int, trials: int) -> float:
    """Share of simulated comparisons without any true difference in which no row is called better or worse."""
    generator = np.random.default_rng(11)
    noise = generator.normal(size=(trials, len(deviations), seeds)) * np.array(deviations)[:, None]
    draws = 90 + noise + generator.normal(size=(trials, 1, seeds))
    silent = [all(row.verdict == SILENT for row in compare_rows(draw)[1:]) for draw in draws.tolist()]
    return float(np.mean(silent))


@pytest.mark.parametrize("deviations", [[1, 1, 1], [1, 1, 3**0.5], [3**0.5, 1, 1], [3**0.5, 1, 1, 1, 1]])
def test_all_intervals_hold_together_in_95_percent(deviations: list[float]) -> None:
    # 1500 trials: standard error 0.56 points. Pooled variance gives 0.908 in the last case, no correction at most 0.908.
    assert simulated(deviations, seeds=3, trials=1500) > 0.932


def test_intervals_are_not_uselessly_wide() -> None:
    # Five rows, three seeds, one row 6 standard deviations better: Bonferroni's paired t finds it in 49 %.
    generator = np.random.default_rng(5)
    trials = generator.normal(size=(300, 5, 3)) + 90
    trials[:, 3] += 6
    assert np.mean([compare_rows(trial)[3].verdict == "better" for trial in trials.tolist()]) > 0.9


@settings(max_examples=60, deadline=None)
@given(tables, st.floats(-5, 5))
def test_what_must_not_change_the_answer(table: list[list[float]], shift: float) -> None:
    rows = compare_rows(table)
    assume(all(row.difference_low is not None for row in rows[1:]))
    widths = [row.difference_high - row.difference_low for row in rows[1:]]  # type: ignore[operator]
    seeds = np.random.default_rng(len(table)).permutation(len(table[0]))
    moved = (np.array(table)[:, seeds] + shift * np.arange(len(seeds))).tolist()  # seed order; a good or bad seed
    others = compare_rows(moved)
    moved_widths = [row.difference_high - row.difference_low for row in others[1:]]  # type: ignore[operator]
    np.testing.assert_allclose(moved_widths, widths, rtol=1e-6)
    reordered = compare_rows([table[0], *table[:0:-1]])[:0:-1]  # the order of the rows

    def values(rows: list[RowStatistics], name: str) -> np.ndarray:
        return np.array([getattr(row, name) for row in rows], dtype=float)

    np.testing.assert_allclose(values(others[1:], "difference"), values(rows[1:], "difference"), atol=1e-9)
    np.testing.assert_allclose(values(reordered, "difference_low"), values(rows[1:], "difference_low"), atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(tables)
def test_verdict_says_what_the_interval_says(table: list[list[float]]) -> None:
    for row in compare_rows(table)[1:]:
        assert row.difference is not None
        if row.difference_low is None or row.difference_high is None:
            assert row.verdict == "no difference shown"
            continue
        assert row.difference_low < row.difference < row.difference_high
        expected = {(True, True): "better", (False, False): "worse"}
        signs = (row.difference_low > 0, row.difference_high >= 0)
        assert row.verdict == expected.get(signs, "no difference shown")


def test_one_seed_shows_nothing() -> None:
    row = compare_rows([[90.0], [99.0]])[1]
    assert (row.n, row.mean, row.low, row.difference) == (1, 99.0, None, 9.0)
    assert (row.difference_low, row.difference_high, row.verdict) == (None, None, "no difference shown")


def test_values_without_any_spread_give_no_interval() -> None:
    rows = compare_rows([[90.0, 90.0, 90.0], [92.0, 92.0, 92.0]])
    assert (rows[1].low, rows[1].difference, rows[1].difference_low) == (None, 2.0, None)
    assert rows[1].verdict == "no difference shown"


def test_agreeing_seeds_in_one_row_borrow_the_spread_of_the_others() -> None:
    rows = compare_rows([[90.0, 91.0, 92.0], [92.0, 93.0, 94.0], [90.0, 93.0, 91.5]])
    assert rows[1].difference == pytest.approx(2.0)
    assert rows[1].difference_low is not None and rows[1].difference_low < 1.9


def test_missing_seeds_use_the_shared_ones() -> None:
    table: list[list[float | None]] = [
        [90.0, 91.0, None, 92.0],
        [91.0, None, 95.0, 94.0],
        [None, None, 90.0, None],
        [90.5, 91.0, 93, 91],
    ]
    rows = compare_rows(table)
    assert [row.n for row in rows] == [3, 3, 1, 4]
    assert rows[1].difference == pytest.approx(1.5)
    assert rows[1].mean == pytest.approx(280 / 3)
    assert rows[1].difference_low is not None
    assert (rows[2].mean, rows[2].difference, rows[2].verdict) == (90.0, None, "no difference shown")


def test_missing_seeds_keep_the_coverage() -> None:
    generator = np.random.default_rng(7)
    silent = []
    for trial in generator.normal(size=(1500, 4, 4)):
        table: list[list[float | None]] = trial.tolist()
        table[1][0] = table[2][3] = table[2][0] = None
        silent.append(all(row.verdict == "no difference shown" for row in compare_rows(table)[1:]))
    assert np.mean(silent) > 0.935


@pytest.mark.parametrize(
    ("table", "word"),
    [([], "no rows"), ([[1.0], [1.0, 2.0]], "None where"), ([[]], "None where"), ([[1.0], [float("nan")]], "row 1")],
)
def test_bad_trials_are_refused(table: list[list[float | None]], word: str) -> None:
    with pytest.raises(InputError, match=word):
        compare_rows(table)


def test_widths_are_the_estimators_formula() -> None:
    """The moderated variance and Satterthwaite's degrees of freedom, written out. Catches a square that became a product."""
    table = np.array([[90.0, 92.0, 91.0], [93.0, 94.5, 96.0], [88.0, 95.0, 91.5]])
    rows, seeds = table.shape
    residuals = table - table.mean(1, keepdims=True) - table.mean(0) + table.mean()
    pool, pool_degrees = 2 * (residuals**2).sum() / ((rows - 1) * (seeds - 1)), (rows - 1) * (seeds - 1)
    for row, found in zip(table[1:], compare_rows(table.tolist())[1:], strict=True):
        differences, degrees = row - table[0], seeds - 1
        share = degrees / (degrees + 2)
        variance = share * differences.var(ddof=1) + (1 - share) * pool
        own = share + (1 - share) * degrees / pool_degrees
        freedom = min(1 / (own**2 / degrees + (1 - own) ** 2 / (pool_degrees - degrees)), degrees + 2)
        width = dunnett_critical(rows - 1, freedom) * np.sqrt(variance / seeds)
        assert found.difference_low is not None and found.difference_high is not None
        np.testing.assert_allclose((found.difference_high - found.difference_low) / 2, width, rtol=1e-9)


def test_where_less_is_better_the_verdict_turns_and_the_numbers_stay() -> None:
    table = [[1.0, 1.1, 0.9], [0.2, 0.3, 0.25], [2.0, 2.1, 1.95], [1.0, 1.2, 0.85]]
    up, down = compare_rows(table), compare_rows(table, rising=False)
    assert [row.verdict for row in up] == ["reference", "worse", "better", SILENT]
    assert [row.verdict for row in down] == ["reference", "better", "worse", SILENT]
    assert [row.difference for row in up] == [row.difference for row in down]


@pytest.mark.parametrize("confidence", [0, 1, 1.5, -0.1])
def test_a_confidence_is_between_0_and_1(confidence: float) -> None:
    with pytest.raises(InputError, match="confidence"):
        compare_rows([[1.0, 2.0]], confidence=confidence)


def test_few_values_and_values_without_spread() -> None:
    """Two seeds have an interval, and agreeing ones none; a row of nothing has nothing."""
    row = compare_rows([[1.0, 3.0]])[0]
    assert row.low is not None and row.high is not None
    np.testing.assert_allclose(row.high - 2, stats.t.ppf(0.975, 1) * np.sqrt(2) / np.sqrt(2), rtol=1e-9)
    same = compare_rows([[5.0, 5.0], [7.0, 7.0]])
    assert same[0].low is None and same[1].difference == 2 and same[1].difference_low is None and same[1].verdict == SILENT
    close = compare_rows([[5.0, 5.0, 5.0], [5.0, 5.00001, 5.00002]])
    assert close[1].difference_low is not None, "a spread of a millionth is a spread"
    nothing = compare_rows([[None, None], [1.0, None]])
    assert nothing[0].mean is None and nothing[1].mean == 1.0 and nothing[1].difference is None


def test_an_interval_that_ends_at_zero_shows_no_difference() -> None:
    assert [_verdict(0.0, 1.0), _verdict(-1.0, 0.0), _verdict(0.5, 1.0), _verdict(-1.0, -0.5)] == [
        SILENT,
        SILENT,
        "better",
        "worse",
    ]


def test_a_spread_of_rounding_errors_gives_no_interval() -> None:
    rows = compare_rows([[0.0, 0.0, 0.0], [1e-10, 2e-10, 3e-10]])
    assert rows[1].difference == pytest.approx(2e-10) and rows[1].difference_low is None


def test_a_table_without_values_has_no_means() -> None:
    rows = compare_rows([[None, None], [None, None]])
    assert [(row.n, row.mean, row.difference) for row in rows] == [(0, None, None)] * 2
