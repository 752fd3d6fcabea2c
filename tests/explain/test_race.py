"""Races drop what is worse, and the best candidate no more often than they say."""

import numpy as np
import pytest
from scipy import stats

from augury.explain.race import error_at, leader_of, seeds_to_settle, shown_worse


def test_the_error_rate_of_all_looks_together() -> None:
    assert sum(error_at(look, 0.05) for look in range(1, 10**5)) == pytest.approx(0.05, rel=1e-4)
    assert error_at(1, 0.05) > error_at(2, 0.05) > error_at(10, 0.05)


def test_the_leader_is_judged_on_the_rounds_that_all_have() -> None:
    assert leader_of([[70.0, 60.0], [71.0, None], [69.0, 99.0]]) == 1
    assert leader_of([[1.0, 2.0], [0.5, 1.0]], rising=False) == 1
    assert leader_of([[None], [3.0]]) == 1


def test_a_clear_loser_is_dropped_and_equals_are_not() -> None:
    values = [[80.0, 81.0, 79.5, 80.5], [80.4, 80.6, 79.8, 80.1], [79.7, 81.3, 79.4, 80.6], [60.2, 60.7, 59.4, 60.9]]
    assert shown_worse(values, look=1, error_rate=0.05) == [3]
    assert shown_worse([[-value for value in row] for row in values], look=1, error_rate=0.05, rising=False) == [3]
    assert shown_worse(values[:1], look=1, error_rate=0.05) == []


def race(generator: np.random.Generator, means: np.ndarray, rounds: int, error_rate: float) -> bool:
    """Whether a race of so many rounds, looked at after each from the second on, ever drops the best candidate (the last)."""
    noise = generator.normal(0, 1, rounds) + generator.normal(0, 1, (len(means), rounds))
    values = means[:, None] + noise
    racing = list(range(len(means)))
    for look, count in enumerate(range(2, rounds + 1), start=1):
        worse = shown_worse([values[k, :count].tolist() for k in racing], look=look, error_rate=error_rate)
        racing = [k for place, k in enumerate(racing) if place not in worse]
        if len(means) - 1 not in racing:
            return True
    return False


@pytest.mark.parametrize("gap", [0.0, 0.5])
def test_the_best_is_dropped_no_more_often_than_stated(gap: float) -> None:
    """With a gap of 0 all are equally good and any of them is the best; 150 races, of which 5 % may go wrong."""
    generator = np.random.default_rng(1)
    means = np.array([0.0] * 5 + [gap])
    wrong = sum(race(generator, means, rounds=5, error_rate=0.05) for _ in range(150))
    assert wrong <= stats.binom.ppf(0.999, 150, 0.05)


def test_seeds_to_settle() -> None:
    differences = [1.0, 2.0, 0.0, 1.0]
    found = seeds_to_settle(differences)
    assert found is not None
    spread = float(np.std(differences, ddof=1))
    for n, holds in ((found, True), (found - 1, False)):
        assert bool(stats.t.ppf(0.975, n - 1) * spread / n**0.5 < 1.0) == holds
    assert seeds_to_settle([1.0]) is None and seeds_to_settle([1.0, 1.0]) is None and seeds_to_settle([1.0, -1.0]) is None
