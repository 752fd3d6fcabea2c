"""Boxes chosen by the saliency they contain, against sums computed pixel by pixel."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from augury.augment.saliency import regions
from augury.augment.saliency.regions import Candidates, box_scores, choose, salient_centres, threshold


def whole(count: int, height: int, width: int) -> torch.Tensor:
    return torch.tensor([[height, width]]).expand(count, 2)


def by_hand(saliency: np.ndarray, h: int, w: int, rows: int, columns: int, candidates: str) -> dict[tuple[int, int], float]:
    """Every candidate's sum, pixel by pixel; keys are top left corners (inside) or centres (centred)."""
    found = {}
    if candidates == "inside":
        h, w = min(h, rows), min(w, columns)
        for y in range(rows - h + 1):
            for x in range(columns - w + 1):
                found[y, x] = float(saliency[y : y + h, x : x + w].sum())
        return found
    for y in range(rows):
        for x in range(columns):
            top, left = y - h // 2, x - w // 2
            found[y, x] = float(saliency[max(0, top) : min(rows, top + h), max(0, left) : min(columns, left + w)].sum())
    return found


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 12), columns=st.integers(1, 12), h=st.integers(1, 15), w=st.integers(1, 15),
    candidates=st.sampled_from(["inside", "centred"]), spare=st.integers(0, 3), seed=st.integers(0, 99),
)  # fmt: skip
def test_scores_and_threshold_equal_brute_force(
    rows: int, columns: int, h: int, w: int, candidates: Candidates, spare: int, seed: int
) -> None:
    saliency = np.random.default_rng(seed).random((rows + spare, columns + spare)).astype(np.float32)
    size = torch.tensor([[rows, columns]])
    scores = box_scores(torch.tensor(saliency)[None], torch.tensor([h]), torch.tensor([w]), size, candidates)
    wanted = by_hand(saliency.astype(np.float64)[:rows, :columns], h, w, rows, columns, candidates)
    assert {(int(y), int(x)) for y, x in scores.valid[0].nonzero()} == set(wanted)
    for place, value in wanted.items():
        assert float(scores.value[0][place]) == pytest.approx(value, abs=1e-6)
    for tau in (0.0, 0.6, 1.0):
        quantile = float(np.quantile(list(wanted.values()), tau))
        assert float(threshold(scores, tau)[0]) == pytest.approx(quantile, abs=1e-6)


@pytest.mark.parametrize(("side", "box", "candidates", "count"), [
    (32, 16, "inside", 289), (32, 20, "inside", 169), (224, 40, "inside", 34225), (32, 16, "centred", 1024),
])  # fmt: skip
def test_candidate_counts_of_the_paper(side: int, box: int, candidates: Candidates, count: int) -> None:
    sides = torch.tensor([box])
    scores = box_scores(torch.rand(1, side, side), sides, sides, whole(1, side, side), candidates)
    assert int(scores.valid.sum()) == count


@pytest.mark.parametrize("candidates", ["inside", "centred"])
@pytest.mark.parametrize("salient", [True, False])
def test_the_chosen_box_is_beyond_the_threshold_and_drawn_uniformly(candidates: Candidates, salient: bool) -> None:
    saliency = torch.rand(6, 5, generator=torch.Generator().manual_seed(0))[None].expand(20000, 6, 5)
    count = len(saliency)
    pick = torch.randint(0, 2**32, (count,), generator=torch.Generator().manual_seed(1))
    two, three = torch.full((count,), 2), torch.full((count,), 3)
    size = whole(count, 6, 5)
    choice = choose(saliency, two, three, size, pick, tau=0.6, salient=salient, candidates=candidates)
    held = by_hand(saliency[0].double().numpy(), 2, 3, 6, 5, candidates)
    limit = float(np.quantile(list(held.values()), 0.6))
    wanted = {}
    for (y, x), value in held.items():
        if value > limit if salient else value < limit:
            top, left = (y, x) if candidates == "inside" else (y - 1, x - 1)
            wanted[max(0, top), max(0, left), min(6, top + 2), min(5, left + 3)] = value
    boxes, counts = choice.box.unique(dim=0, return_counts=True)
    assert {tuple(box.tolist()) for box in boxes} == set(wanted)
    expected = count / len(wanted)
    assert float(((counts - expected) ** 2 / expected).sum()) < 3 * len(wanted)
    assert bool((choice.score > choice.threshold if salient else choice.score < choice.threshold).all())
    for box, score in zip(choice.box[:50].tolist(), choice.score[:50].tolist(), strict=True):
        top, left, bottom, right = box
        assert score == pytest.approx(float(saliency[0, top:bottom, left:right].double().sum()), abs=1e-6)


def test_about_sixty_percent_of_the_candidates_lie_below() -> None:
    saliency = torch.rand(64, 32, 32)
    sides = torch.full((64,), 16)
    scores = box_scores(saliency, sides, sides, whole(64, 32, 32))
    below = ((scores.value < threshold(scores, 0.6)[:, None, None]) & scores.valid).flatten(1).sum(1) / 289
    assert bool(((below - 0.6).abs() < 0.005).all())


@pytest.mark.parametrize("salient", [True, False])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e-30, 3e38])
def test_a_constant_map_draws_from_all_candidates(value: float, salient: bool) -> None:
    count = 4000
    pick = torch.randint(0, 2**32, (count,), generator=torch.Generator().manual_seed(1))
    two = torch.full((count,), 2)
    choice = choose(torch.full((count, 5, 5), value), two, two, whole(count, 5, 5), pick, tau=0.6, salient=salient)
    assert len(choice.box.unique(dim=0)) == 16


@pytest.mark.parametrize("candidates", ["inside", "centred"])
@pytest.mark.parametrize("salient", [True, False])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_maps_that_are_not_finite_end_well(candidates: Candidates, salient: bool, bad: float) -> None:
    saliency = torch.rand(3, 6, 6)
    saliency[1, 2, 2] = bad
    three = torch.full((3,), 3)
    pick = torch.tensor([0, 2**31, 2**32 - 1])
    box = choose(saliency, three, three, whole(3, 6, 6), pick, tau=0.6, salient=salient, candidates=candidates).box
    assert bool((box >= 0).all() and (box <= 6).all())
    assert bool((box[:, 2] > box[:, 0]).all() and (box[:, 3] > box[:, 1]).all())


@pytest.mark.parametrize("salient", [True, False])
def test_one_candidate_and_boxes_larger_than_the_image_give_the_image(salient: bool) -> None:
    for side in (6, 7, 100):
        sides = torch.full((2,), side)
        pick = torch.tensor([0, 2**32 - 1])
        choice = choose(torch.rand(2, 6, 6), sides, sides, whole(2, 6, 6), pick, tau=0.6, salient=salient)
        assert choice.box.tolist() == [[0, 0, 6, 6]] * 2


def test_a_box_of_no_area_and_an_empty_batch() -> None:
    zero = torch.zeros(2, dtype=torch.int64)
    box = choose(torch.rand(2, 4, 4), zero, zero, whole(2, 4, 4), zero, tau=0.6, salient=False).box
    assert bool((box[:, 2] == box[:, 0]).all())
    none = zero[:0]
    assert choose(torch.rand(0, 4, 4), none, none, whole(0, 4, 4), none, tau=0.6, salient=True).box.shape == (0, 4)


def test_sums_do_not_depend_on_the_order_of_addition() -> None:
    """Equal windows far apart tie exactly, which sums of floats would not."""
    tile = torch.rand(4, 4, generator=torch.Generator().manual_seed(3)) * 1e-3
    saliency = tile.repeat(8, 8)[None]
    four = torch.tensor([4])
    scores = box_scores(saliency, four, four, whole(1, 32, 32))
    assert len(scores.value[scores.valid].unique()) == 1


def test_valid_rows_and_columns_bound_the_boxes() -> None:
    saliency = torch.rand(500, 8, 8)
    saliency[:, 5:] = 100
    size = torch.tensor([[5, 6]]).expand(500, 2)
    three = torch.full((500,), 3)
    pick = torch.randint(0, 2**32, (500,), generator=torch.Generator().manual_seed(0))
    for candidates in ("inside", "centred"):
        box = choose(saliency, three, three, size, pick, tau=0.6, salient=True, candidates=candidates).box
        assert int(box[:, 2].max()) <= 5 and int(box[:, 3].max()) <= 6


def test_salient_centres_are_where_the_map_is_high_and_the_others_where_it_is_not() -> None:
    saliency = torch.zeros(300, 16, 16)
    saliency[:, 4, 11] = 1
    u = torch.rand(300, 2, generator=torch.Generator().manual_seed(0))
    size = whole(300, 16, 16)
    high = salient_centres(saliency, u, size, 5)
    assert bool(((high - torch.tensor([4, 11])).abs() <= 2).all())
    assert len(high.unique(dim=0)) > 5
    low = salient_centres(saliency, u, size, torch.full((300,), 5), salient=False)
    assert bool(((low - torch.tensor([4, 11])).abs() > 2).any(1).all())
    assert bool((low >= 2).all() and (low <= 13).all())


@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.parametrize("tau", [0.0, 0.6, 1.0])
def test_a_cpu_weighs_few_images_at_a_time_and_chooses_the_same(alike: bool, tau: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the accelerators' way, which sorts all of a batch. Catches a rank that is not in its place, and a chunk left out."""
    images, side = 7, 9
    draw = torch.Generator().manual_seed(0)
    saliency = torch.rand(images, side, side, generator=draw).round(decimals=1)  # with ties
    size = whole(images, side, side) if alike else torch.randint(1, side + 1, (images, 2), generator=draw)
    extent = torch.full((images,), 4) if alike else torch.randint(1, side + 1, (images,), generator=draw)
    pick = torch.randint(0, 2**32, (images,), generator=draw)
    for candidates in ("inside", "centred"):
        monkeypatch.setattr(regions, "_AT_ONCE", 2 * side * side)
        few = choose(saliency, extent, extent, size, pick, tau=tau, salient=False, candidates=candidates)
        with monkeypatch.context() as accelerator:
            accelerator.setattr(regions, "is_host", lambda device: False)
            every = choose(saliency, extent, extent, size, pick, tau=tau, salient=False, candidates=candidates)
        assert all(one.equal(other) for one, other in zip(few, every, strict=True))
