"""Stratified draws: balanced over the epochs, each uniform, and mutually independent."""

import math

import pytest
import torch
from scipy import stats
from torch import Tensor

import augury
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.noise import Draws, Noise

IDS = torch.arange(400)


def walks(epochs: int, count: int = 3, draws: Draws = "stratified", start: int = 0) -> Tensor:
    """float64 [epochs, B, count]: what a stage draws in so many epochs."""
    each = (Noise.of(5, IDS, epoch=start + e, draws=draws).fold("stage").uniform(count) for e in range(epochs))
    return torch.stack(list(each)).double()


def discrepancy(points: Tensor) -> Tensor:
    """The star discrepancy of points [n,...] in [0, 1): the largest deviation of their empirical distribution from uniform."""
    n = len(points)
    ordered = points.sort(0).values
    place = torch.arange(n, dtype=torch.float64).view(-1, *[1] * (points.ndim - 1))
    return torch.maximum((place + 1) / n - ordered, ordered - place / n).amax(0)


@pytest.mark.parametrize("epochs", [8, 16, 32, 64])
def test_every_part_is_met_equally_often(epochs: int) -> None:
    # Catches a digit that does not take its turn: one of each of `epochs` equal parts, from any multiple of them on.
    for start in (0, 3 * epochs):
        found = walks(epochs, start=start)
        assert bool(((found * epochs).long().sort(0).values == torch.arange(epochs)[:, None, None]).all())
        assert float(discrepancy(found).max()) <= 1 / epochs + 1e-6
        independent = discrepancy(walks(epochs, draws="independent", start=start))
        assert float(discrepancy(found).mean()) < 0.6 * float(independent.mean())


def test_from_any_epoch_on_it_is_even() -> None:
    for start, epochs in ((5, 11), (1000, 30), (1021, 9)):
        found = discrepancy(walks(epochs, start=start)).mean()
        assert float(found) < float(discrepancy(walks(epochs, draws="independent", start=start)).mean())


def test_flips_alternate_within_one() -> None:
    flips = (walks(64, 1)[..., 0] < 0.5).long()
    ahead = (flips.cumsum(0) * 2 - torch.arange(1, 65)[:, None]).abs()
    assert int(ahead.max()) <= 1
    assert 0.45 < float(flips[0::2].double().mean()) < 0.55, "which of a pair comes first is drawn"


def test_every_number_alone_is_uniform() -> None:
    for epoch in (0, 1, 7, 500):
        numbers = Noise.of(1, torch.arange(20000), epoch=epoch, draws="stratified").fold("x").uniform(2).double()
        for column in numbers.unbind(1):
            assert stats.kstest(column.numpy(), "uniform").pvalue > 1e-3
    assert bool((numbers * 2**24 == (numbers * 2**24).round()).all()) and float(numbers.max()) < 1


def test_numbers_of_one_image_do_not_follow_each_other() -> None:
    # Catches coordinates that share an order: in a lattice the second would be the first shifted.
    found = walks(64, 2)
    centred = found - found.mean(0)
    correlation = (centred[..., 0] * centred[..., 1]).sum(0) / (centred**2).sum(0).prod(1).sqrt()
    assert abs(float(correlation.mean())) < 4 / math.sqrt(64 * len(IDS))
    assert 0.6 < float(correlation.std()) * math.sqrt(63) < 1.4, "spread as that of independent numbers"
    pairs = (found * 2).long()
    cells = torch.bincount((pairs[..., 0] * 2 + pairs[..., 1]).flatten(), minlength=4).double() / pairs[..., 0].numel()
    assert bool(((cells - 0.25).abs() < 0.01).all())
    across = torch.corrcoef(found[..., 0].T[:50])
    off = across[~torch.eye(50, dtype=torch.bool)]
    assert abs(float(off.mean())) < 0.01, "images are independent of each other"


def test_batches_and_orders_do_not_matter() -> None:
    whole = Noise.of(2, IDS, epoch=9, view=1, draws="stratified").fold("a").uniform(4)
    order = torch.randperm(len(IDS), generator=torch.Generator().manual_seed(0))[:37]
    assert torch.equal(Noise.of(2, IDS[order], epoch=9, view=1, draws="stratified").fold("a").uniform(4), whole[order])
    assert not torch.equal(Noise.of(2, IDS, epoch=9, view=2, draws="stratified").fold("a").uniform(4), whole)


def test_compiled_and_plain_draw_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for backend in ("plain", "numba"):
        monkeypatch.setenv("AUGURY_BACKEND", backend)
        found.append([Noise.of(2, IDS, epoch=e, draws="stratified").fold("a").uniform(5) for e in (0, 3, 1023, 70000)])
    assert all(map(torch.equal, *found))
    tensor = Noise.of(2, IDS, epoch=torch.tensor(3), draws="stratified").fold("a").uniform(5)
    assert torch.equal(tensor, found[0][1])


def test_a_policy_offers_every_operation_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUGURY_BACKEND", "plain")
    pipeline = augury.pipeline("randaugment(num_ops=1,magnitude=9)+flip")
    images = torch.zeros(len(IDS), 3, 4, 4, dtype=torch.uint8)
    spread = {}
    for draws in ("independent", "stratified"):
        ops = []
        for epoch in range(28):
            batch = Batch(images, None, IDS)
            _, traces = pipeline.run(batch, Noise.of(0, IDS, epoch=epoch, draws=draws))
            ops.append(traces[0]["op"][:, 0])
        counts = torch.stack([(torch.stack(ops) == k).sum(0) for k in range(14)]).double()
        spread[draws] = float(counts.std(0).mean())
    assert spread["stratified"] < 0.6 * spread["independent"]


def test_unknown_draws_are_refused() -> None:
    with pytest.raises(InputError, match="independent, stratified"):
        Noise.of(0, IDS, draws="even")  # type: ignore[arg-type]
