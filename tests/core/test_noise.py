"""Noise is random in every part of its address, and nothing but the address decides it."""

import functools
import itertools
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from samples import steady
from scipy import stats
from torch import Tensor

from augury.core.errors import InputError
from augury.core.noise import Noise, hashed

COUNT = 1 << 15
IDS = torch.arange(COUNT)
words = st.integers(-(2**63), 2**63 - 1)


def unsigned(bits: Tensor) -> np.ndarray:
    return bits.numpy().view(np.uint64)


@functools.cache
def along(part: str) -> Noise:
    """Noise in which one part of the address alone varies; the rest is constant."""
    one = torch.zeros(1, dtype=torch.int64)
    few = range(1 << 12)
    match part:
        case "id":
            return Noise.of(0, IDS)
        case "id from 2^40":
            return Noise.of(0, IDS + (1 << 40))
        case "visit":
            return Noise.of(0, torch.zeros_like(IDS), visits=IDS)
        case "seed":
            return Noise(torch.cat([Noise.of(k, one).key for k in few]))
        case "epoch":
            return Noise(torch.cat([Noise.of(0, one, epoch=k).key for k in few]))
        case "view":
            return Noise(torch.cat([Noise.of(0, one, view=k).key for k in few]))
        case "number":
            return Noise(torch.cat([Noise.of(0, one).fold(k).key for k in few]))
        case "name":
            return Noise(torch.cat([Noise.of(0, one).fold(f"stage{k}").key for k in few]))
        case _:
            return Noise(Noise.of(0, one).bits(COUNT)[0])


PARTS = ["id", "id from 2^40", "visit", "seed", "epoch", "view", "number", "name", "column"]


def test_bits_are_splitmix64_of_the_key() -> None:
    # The generator's published first outputs for seed 1234567. Catches a changed constant, shift or counter.
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    assert unsigned(Noise(torch.tensor([1234567])).bits(5))[0].tolist() == published


def drawn(seed: int, ids: list[int], visits: list[int] | None, name: str | int, count: int) -> list[Tensor]:
    noise = Noise.of(seed, torch.tensor(ids, dtype=torch.int64), visits=None if visits is None else torch.tensor(visits)).fold(name)
    return [noise.key, noise.bits(count), noise.uniform(count), noise.integers(count, 10), noise.partners()]


@given(
    seed=words, ids=st.lists(words, max_size=6), visit=st.none() | words, name=st.text(max_size=3) | words, count=st.integers(0, 5)
)
def test_the_compiled_hash_is_pytorchs(seed: int, ids: list[int], visit: int | None, name: str | int, count: int) -> None:
    # Catches a shift that keeps the sign, a counter from 0 and a lost part of the address in one of the two.
    visits = None if visit is None or not ids else [visit] * len(ids)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUGURY_BACKEND", "numba")
        compiled = drawn(seed, ids, visits, name, count)
        patch.setenv("AUGURY_BACKEND", "plain")
        plain = drawn(seed, ids, visits, name, count)
    for one, other in zip(compiled, plain, strict=True):
        assert one.dtype == other.dtype and one.equal(other)


FEW = """
import sys
import torch
from augury.core.noise import Noise

for _ in range(4):
    few = Noise.of(0, torch.arange(1000)).fold("split").bits(1)
early = "numba" in sys.modules
for _ in range(100):
    Noise.of(0, torch.arange(10)).fold("split").bits(1)
print(early, "numba" in sys.modules)
"""


def test_few_draws_load_no_compiler() -> None:
    # Catches half a second at the start of every command, and a loop that never gets the compiled hash.
    pytest.importorskip("numba", reason="numba is not installed")
    environment = {**os.environ, "AUGURY_COMPILE": "now"}
    done = subprocess.run([sys.executable, "-c", FEW], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_rows_that_do_not_fit_together_are_refused() -> None:
    # Catches compiled code that reads past the end of the shorter one.
    with pytest.raises(InputError, match="visits: expected whole numbers"):
        Noise.of(0, torch.arange(5), visits=torch.arange(3))


@pytest.mark.parametrize("part", PARTS)
def test_every_part_of_the_address_gives_uniform_numbers(part: str) -> None:
    # Catches a part that is added to the key without mixing.
    drawn = along(part).uniform(1)[:, 0].double().numpy()
    counts = np.bincount((drawn * 64).astype(int), minlength=64)
    assert stats.chisquare(counts).pvalue > 1e-4
    assert stats.kstest(drawn, "uniform").pvalue > 1e-4
    following = stats.pearsonr(drawn[:-1], drawn[1:]).statistic
    assert abs(following) < 4.5 / math.sqrt(len(drawn))


@pytest.mark.parametrize("part", PARTS)
def test_every_bit_is_set_half_of_the_time(part: str) -> None:
    # Catches an arithmetic shift where a logical one belongs: the upper bits would follow the sign.
    bits = unsigned(along(part).bits(1))[:, 0]
    means = ((bits[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)).mean(0)
    assert np.abs(means - 0.5).max() < 5 * 0.5 / math.sqrt(len(bits))


VARIANTS = {
    "plain": Noise.of(0, IDS),
    "seed": Noise.of(1, IDS),
    "negative seed": Noise.of(-1, IDS),
    "epoch": Noise.of(0, IDS, epoch=1),
    "view": Noise.of(0, IDS, view=1),
    "visit": Noise.of(0, IDS, visits=torch.ones_like(IDS)),
    "next id": Noise.of(0, IDS + 1),
    "name": Noise.of(0, IDS).fold("plan"),
    "other name": Noise.of(0, IDS).fold("values"),
    "number": Noise.of(0, IDS).fold(0),
    "number as a name": Noise.of(0, IDS).fold("0"),
    "two names": Noise.of(0, IDS).fold("plan").fold("values"),
    "two names turned": Noise.of(0, IDS).fold("values").fold("plan"),
    "the same name twice": Noise.of(0, IDS).fold("plan").fold("plan"),
}


@pytest.mark.parametrize(("left", "right"), list(itertools.combinations(VARIANTS, 2)))
def test_addresses_that_differ_in_one_part_are_uncorrelated(left: str, right: str) -> None:
    # Catches a part that is left out of the address, and a hash of names that ignores their order or type.
    first, second = (VARIANTS[name].uniform(2) for name in (left, right))
    if {left, right} == {"plain", "next id"}:
        second = second.roll(1, 0)
        assert torch.equal(first[1:], second[1:])
        return
    for a, b in ((0, 0), (0, 1), (1, 0)):
        found = np.corrcoef(first[:, a], second[:, b])[0, 1]
        assert abs(found) < 5 / math.sqrt(COUNT)
    assert float((first == second).double().mean()) < 1e-3


def test_parts_of_the_address_do_not_exchange() -> None:
    # (seed 1, epoch 2) must not meet (seed 2, epoch 1). Catches a plain xor or sum of the parts.
    values, seen = (0, 1, 2, 3, 2**32, -1), set()
    for seed, epoch, view in itertools.product(values, repeat=3):
        ids = torch.tensor(values)
        for visit in values:
            seen.update(Noise.of(seed, ids, epoch=epoch, view=view, visits=torch.full_like(ids, visit)).key.tolist())
    assert len(seen) == len(values) ** 5


def test_keys_of_a_long_training_are_distinct() -> None:
    # About a million addresses in 2^64: a birthday collision has probability 3e-8. Catches a key cut to 32 bits.
    ids = torch.arange(5000)
    keys = [
        Noise.of(seed, ids, epoch=epoch, view=view).fold(name).key
        for seed in range(5)
        for epoch in range(10)
        for view in range(2)
        for name in ("crop0", "flip1")
    ]
    assert len(torch.cat(keys).unique()) == len(keys) * len(ids)


@pytest.mark.parametrize("shift", [0, 16, 32])
def test_birthdays_in_any_32_bits_are_as_many_as_chance_gives(shift: int) -> None:
    # 2^18 words of 32 bits: 8 collisions expected (Poisson). Too few are as suspicious as too many, over two sets.
    collisions = 0
    for start in (0, 10**9):
        bits = unsigned(Noise.of(0, torch.arange(start, start + (1 << 18))).bits(1))[:, 0]
        part = (bits >> np.uint64(shift)).astype(np.uint32)
        collisions += len(part) - len(np.unique(part))
    assert stats.poisson(16).sf(collisions) > 1e-4 and stats.poisson(16).cdf(collisions) > 1e-4


@pytest.mark.parametrize("part", ["id", "visit", "seed"])
def test_one_flipped_input_bit_flips_half_of_the_output(part: str) -> None:
    # Avalanche: 64 x 64 frequencies. Catches a finaliser with a round left out.
    samples = 1000 if part != "seed" else 60
    base = unsigned(Noise.of(9, torch.arange(samples)).bits(1))[:, 0].view(np.int64)
    words = torch.from_numpy(base.copy())

    def out(changed: Tensor) -> Tensor:
        if part == "id":
            return Noise.of(0, changed).bits(1)[:, 0]
        if part == "visit":
            return Noise.of(0, torch.zeros_like(changed), visits=changed).bits(1)[:, 0]
        return torch.cat([Noise.of(int(w), torch.zeros(1, dtype=torch.int64)).bits(1)[:, 0] for w in changed])

    plain, rates = unsigned(out(words)), []
    for bit in range(64):
        flip = torch.tensor(-(2**63) if bit == 63 else 1 << bit)
        changed = unsigned(out(words ^ flip)) ^ plain
        rates.append(((changed[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)).mean(0))
    assert np.abs(np.array(rates) - 0.5).max() < 5.5 * 0.5 / math.sqrt(samples)


@steady
@given(words, words, words, words, words)
def test_numbers_and_tensors_are_the_same_address(seed: int, epoch: int, view: int, identity: int, visit: int) -> None:
    # A captured step holds seed and epoch as device tensors. Catches a sign lost on the way between int and int64.
    ids, visits = torch.tensor([identity]), torch.tensor([visit])
    plain = Noise.of(seed, ids, epoch=epoch, view=view, visits=visits)
    tensors = Noise.of(torch.tensor(seed), ids, epoch=torch.tensor(epoch), view=torch.tensor(view), visits=visits)
    mixed = Noise.of(seed, ids, epoch=torch.tensor(epoch), view=view, visits=visits)
    assert plain.key.tolist() == tensors.key.tolist() == mixed.key.tolist()
    assert plain.key.dtype == torch.int64


@steady
@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=20, unique=True), st.randoms(use_true_random=False))
def test_batch_order_and_size_do_not_matter(ids: list[int], random: object) -> None:
    # Catches a draw that uses the row number.
    shuffled = list(ids)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    whole = Noise.of(5, torch.tensor(ids), epoch=2).fold("a")
    other = Noise.of(5, torch.tensor(shuffled), epoch=2).fold("a")
    for row, identity in enumerate(ids):
        alone = Noise.of(5, torch.tensor([identity]), epoch=2).fold("a")
        there = shuffled.index(identity)
        for draw in (lambda n: n.bits(3), lambda n: n.uniform(3), lambda n: n.integers(3, 10)):
            assert torch.equal(draw(whole)[row], draw(alone)[0])
            assert torch.equal(draw(whole)[row], draw(other)[there])


def test_nothing_is_consumed_and_longer_draws_begin_alike() -> None:
    noise = Noise.of(0, IDS[:10])
    first = noise.bits(3)
    noise.fold("x").uniform(5)
    assert torch.equal(first, noise.bits(3))
    assert torch.equal(noise.bits(7)[:, :3], first)
    assert len(noise) == 10


def test_uniforms_lie_in_the_half_open_interval_on_a_grid_of_24_bits() -> None:
    # Catches a division by 2^24 - 1, or more bits than float32 holds, which would round up to 1.
    drawn = Noise.of(0, IDS).uniform(16)
    assert drawn.dtype == torch.float32 and drawn.shape == (COUNT, 16)
    assert float(drawn.min()) >= 0 and float(drawn.max()) < 1
    assert torch.equal(drawn * 2**24, (drawn * 2**24).round())
    assert float(drawn.max()) > 1 - 1e-4 and float(drawn.min()) < 1e-4


@pytest.mark.parametrize("n", [1, 2, 7, 256, 1000, 2**31 - 1])
def test_integers_are_uniform_over_their_range(n: int) -> None:
    drawn = Noise.of(4, IDS).integers(2, n)
    assert drawn.dtype == torch.int64 and int(drawn.min()) >= 0 and int(drawn.max()) < n
    bins = min(n, 64)
    counts = torch.bincount((drawn * bins // n).flatten(), minlength=bins).double().numpy()
    expected = np.array([-(-(k + 1) * n // bins) - -(-k * n // bins) for k in range(bins)], dtype=float)
    assert bins == 1 or stats.chisquare(counts, expected / n * counts.sum()).pvalue > 1e-4


def test_integers_take_a_range_per_row() -> None:
    n = torch.arange(1, 101)[:, None]
    drawn = Noise.of(0, torch.arange(100)).integers(50, n)
    assert bool((drawn >= 0).all()) and bool((drawn < n).all())
    assert bool((drawn.amax(1)[50:] > 20).all())


@pytest.mark.parametrize("count", [2, 3, 7, 64, 257])
def test_partners_are_one_cycle_without_fixed_points(count: int) -> None:
    # Catches partners drawn with replacement, and a shuffle that may leave a row to itself.
    partner = Noise.of(0, torch.arange(count), epoch=count).partners()
    assert sorted(partner.tolist()) == list(range(count))
    assert not bool((partner == torch.arange(count)).any())
    seen, row = set(), 0
    while row not in seen:
        seen.add(row)
        row = int(partner[row])
    assert len(seen) == count


def test_partners_of_small_batches() -> None:
    assert Noise.of(0, torch.tensor([5])).partners().tolist() == [0]
    assert Noise.of(0, torch.zeros(0, dtype=torch.int64)).partners().shape == (0,)
    twice = Noise.of(0, torch.tensor([5, 5, 5])).partners()
    assert sorted(twice.tolist()) == [0, 1, 2] and not bool((twice == torch.arange(3)).any())


@steady
@given(st.lists(st.integers(0, 2**40), min_size=2, max_size=30, unique=True), st.randoms(use_true_random=False))
def test_partners_depend_on_the_set_and_not_on_its_order(ids: list[int], random: object) -> None:
    # Catches `ids[order.roll(1)]`, a roll in batch order.
    shuffled = list(ids)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first, second = (
        {i: given[p] for i, p in zip(given, Noise.of(1, torch.tensor(given)).partners().tolist(), strict=True)}
        for given in (ids, shuffled)
    )
    assert first == second


def test_every_other_row_is_equally_likely_as_partner() -> None:
    ids, counts = torch.arange(5), torch.zeros(5, 5)
    for epoch in range(2000):
        counts[ids, Noise.of(0, ids, epoch=epoch).partners()] += 1
    for row in range(5):
        others = [int(counts[row, k]) for k in range(5) if k != row]
        assert stats.chisquare(others).pvalue > 1e-4


def test_a_field_of_bits_is_splitmix64_of_key_and_counter() -> None:
    """`hashed` in Python's whole numbers. Catches a constant of the mix that is another."""
    mask = 2**64 - 1

    def mixed(value: int) -> int:
        value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & mask
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & mask
        return value ^ (value >> 31)

    golden = 0x9E3779B97F4A7C15
    keys, counters = torch.tensor([0, 1, -7, 2**40]), torch.tensor([[0], [3], [10**9]])
    found = hashed(keys, counters) & torch.tensor(-1)
    for row, counter in enumerate(counters[:, 0].tolist()):
        for column, key in enumerate(keys.tolist()):
            expected = mixed((mixed((key + golden) & mask) + counter * golden) & mask)
            assert int(found[row, column]) & mask == expected


def test_the_range_of_whole_numbers_is_checked() -> None:
    noise = Noise.of(0, torch.arange(3))
    for wrong in (0, 2**31, 1.5, torch.tensor([1.0])):
        with pytest.raises(InputError, match="^integers: n"):
            noise.integers(1, wrong)  # type: ignore[arg-type]
    assert noise.integers(2, 1).tolist() == [[0, 0]] * 3 and int(noise.integers(1, 2**31 - 1).max()) < 2**31 - 1


def test_an_address_begins_in_the_first_epoch_with_the_first_view() -> None:
    for draws in ("independent", "stratified"):
        plain = Noise.of(3, IDS[:9], draws=draws)  # type: ignore[arg-type]
        told = Noise.of(3, IDS[:9], epoch=0, view=0, visits=torch.zeros(9, dtype=torch.int64), draws=draws)  # type: ignore[arg-type]
        assert plain.key.equal(told.key) and plain.uniform(3).equal(told.uniform(3))


def test_a_partner_is_the_row_with_the_next_larger_number() -> None:
    """Recorded runs mix again what they mixed. Catches a cycle in the other direction."""
    noise = Noise.of(2, IDS[:50])
    order = noise.bits(1)[:, 0].argsort()
    partner = noise.partners()
    assert partner[order[:-1]].equal(order[1:]) and partner[order[-1]] == order[0]
