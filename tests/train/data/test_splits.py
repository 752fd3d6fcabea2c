"""The cut: exhaustive, disjoint, stratified, and nothing but the data decides it."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from augury.train.data.splits import cut

LABELS = st.lists(st.integers(0, 4), max_size=60).map(lambda values: torch.tensor(values, dtype=torch.int64))
FRACTION = st.floats(0.01, 0.99)


@settings(max_examples=80, deadline=None)
@given(LABELS, FRACTION)
def test_exhaustive_disjoint_and_stratified(labels: torch.Tensor, fraction: float) -> None:
    kept, held = cut(labels, fraction)
    assert sorted([*kept.tolist(), *held.tolist()]) == list(range(len(labels)))
    for value in labels.unique():
        total, out = int((labels == value).sum()), int((labels[held] == value).sum())
        assert out <= total - 1
        if total >= 2:
            assert out >= 1
            assert abs(out - total * fraction) <= max(0.5, 1 - total * fraction, total * fraction - (total - 1)) + 1e-9


@settings(max_examples=40, deadline=None)
@given(LABELS, FRACTION, st.integers(0, 2**31))
def test_same_whatever_the_global_seed(labels: torch.Tensor, fraction: float, seed: int) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        first = cut(labels, fraction)
        torch.manual_seed(seed + 1)
        second = cut(labels, fraction)
    assert torch.equal(first[1], second[1])


@settings(max_examples=40, deadline=None)
@given(LABELS, FRACTION, FRACTION)
def test_a_larger_fraction_holds_out_a_superset(labels: torch.Tensor, one: float, other: float) -> None:
    small, large = sorted((one, other))
    assert set(cut(labels, small)[1].tolist()) <= set(cut(labels, large)[1].tolist())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=50), FRACTION)
def test_groups_are_strata_within_classes(pairs: list[tuple[int, int]], fraction: float) -> None:
    labels, groups = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).T
    kept, held = cut(labels, fraction, groups)
    assert sorted([*kept.tolist(), *held.tolist()]) == list(range(len(pairs)))
    for label in labels.unique():
        inside = labels == label
        assert (labels[kept] == label).any()
        assert int(inside.sum()) < 2 or (labels[held] == label).any()
        for group in groups.unique():
            both = inside & (groups == group)
            if both.sum() >= 2:
                assert both[held].any() and both[kept].any()


def test_the_cut_is_no_leading_or_regular_pattern_and_differs_by_name() -> None:
    labels = torch.zeros(1000, dtype=torch.int64)
    held, other = (cut(labels, 0.5, name=name)[1] for name in ("validation", "test"))
    assert abs(int((held < 500).sum()) - 250) < 60 and abs(int((held % 2 == 0).sum()) - 250) < 60
    shared = len(set(held.tolist()) & set(other.tolist()))
    assert abs(shared - 250) < 60
