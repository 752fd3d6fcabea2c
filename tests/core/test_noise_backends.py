"""Who computes a draw's bits: PyTorch, compiled kernels or opaque operators of a compiled graph; the bits are the same."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import Tensor

from augury.core import devices, doors, mixing, noise, warmup
from augury.core.errors import InputError
from augury.core.mixing import GOLDEN, MASK, absorb, counted_bits, mix_tensor, signed
from augury.core.noise import MOST_NUMBERS, Noise, disagreement, hashed

IDS = torch.tensor([0, 1, 5, 2**40, -3])
BIG = [0, 1, -1, 2**62, -(2**63), 2**63 - 1]


class Spy:
    """Stands in for a compiled hash; notes who asks and lets PyTorch answer."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def bits(self, key: Tensor, count: int) -> Tensor:
        self.asked.append("bits")
        counter = torch.tensor([signed(k * GOLDEN & MASK) for k in range(1, count + 1)], dtype=torch.int64)
        return mix_tensor(key[:, None] + counter)

    def absorbed(self, state: int | Tensor, part: int | Tensor) -> Tensor:
        self.asked.append("absorbed")
        state, part = (torch.tensor(each) if isinstance(each, int) else each.to(torch.int64) for each in (state, part))
        return mix_tensor(mix_tensor(state + signed(GOLDEN)) ^ part)

    def uniform(self, key: Tensor, count: int) -> Tensor:
        self.asked.append("uniform")
        return (self.bits(key, count) >> 40 & (1 << 24) - 1).float() * 2.0**-24


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    """A compiled hash that is there for the processor, whatever is installed; draws are counted anew."""
    made = Spy()
    monkeypatch.setattr(noise, "_compiled", lambda device: made if device == "cpu" else None)
    monkeypatch.setattr(warmup, "ready", lambda: True)
    monkeypatch.setitem(sys.modules, "augury.core.hash_numba", ModuleType("hash_numba"))
    monkeypatch.delenv("AUGURY_BACKEND", raising=False)
    noise._draws.cache_clear()
    return made


def everything() -> list[Tensor]:
    made = Noise.of(3, IDS, epoch=2, view=1, visits=torch.arange(5)).fold("a").fold(7)
    tensors = Noise.of(torch.tensor(3), IDS, epoch=torch.tensor(2), view=torch.tensor(1), visits=torch.arange(5)).fold("a").fold(7)
    return [made.key, tensors.key, made.bits(3), made.uniform(2), made.integers(2, 9)]


def test_the_processors_draws_are_compiled_and_the_same(spy: Spy, monkeypatch: pytest.MonkeyPatch) -> None:
    found = everything()
    assert set(spy.asked) == {"bits", "absorbed", "uniform"}
    assert spy.asked.count("absorbed") == 4 + 7, "parts that are tensors; whole numbers are absorbed as such"
    monkeypatch.setenv("AUGURY_BACKEND", "plain")
    spy.asked.clear()
    assert all(a.dtype == b.dtype and a.equal(b) for a, b in zip(everything(), found, strict=True)) and not spy.asked


def test_few_draws_wait_for_a_loaded_compiler(spy: Spy, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred draws, or a million rows, are worth loading it; being asked for it is too."""
    monkeypatch.delitem(sys.modules, "augury.core.hash_numba")
    made = Noise(IDS)
    for _ in range(100):
        made.bits(1)
    assert not spy.asked
    made.bits(1)
    assert spy.asked == ["bits"]
    noise._draws.cache_clear()
    made.bits(1)
    assert spy.asked == ["bits"]
    Noise(torch.zeros(1 << 20, dtype=torch.int64)).bits(0)
    assert spy.asked == ["bits"] * 2
    Noise(torch.zeros((1 << 20) - 1, dtype=torch.int64)).bits(0)
    assert spy.asked == ["bits"] * 2
    monkeypatch.setenv("AUGURY_BACKEND", "numba")
    made.bits(1)
    assert spy.asked == ["bits"] * 3


def test_kernels_that_are_still_compiled_are_not_waited_for(spy: Spy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warmup, "ready", lambda: False)
    Noise(IDS).bits(1)
    assert not spy.asked
    monkeypatch.setenv("AUGURY_BACKEND", "numba")
    Noise(IDS).bits(1)
    assert spy.asked == ["bits"]


def test_other_tensors_than_plain_rows_are_pytorchs(spy: Spy) -> None:
    class Own(Tensor):
        pass

    Noise(IDS.as_subclass(Own)).bits(1)
    Noise(IDS).fold("x").key.as_subclass(Own)
    spy.asked.clear()
    table = IDS.repeat(2, 1)
    found = [noise._absorb(table, 3), noise._absorb(3, table), noise._absorb(IDS, table), noise._absorb(table, IDS)]
    found.append(noise._absorb(IDS, IDS.as_subclass(Own)))
    assert not spy.asked
    one = noise._absorb(torch.tensor(4), IDS)
    assert spy.asked == ["absorbed"] and isinstance(one, Tensor) and one.shape == (5,)
    with pytest.raises(RuntimeError):
        noise._absorb(IDS, IDS[:3])
    assert spy.asked == ["absorbed"], "a compiled loop would read past the end of the shorter one"
    assert all(isinstance(each, Tensor) and each.shape == (2, 5) for each in found[:4])


def test_rows_of_two_devices_are_pytorchs(spy: Spy) -> None:
    assert not noise._fit(IDS, IDS.to("meta")) and noise._fit(IDS, IDS + 1) and noise._fit(IDS, torch.tensor(1))
    assert noise._kernels(IDS.to("meta")) is None


@pytest.mark.parametrize("name", ["seed", "epoch", "view"])
def test_an_address_is_a_whole_number(name: str) -> None:
    for wrong in (torch.tensor([1]), torch.tensor(1.0), torch.tensor(1 + 0j)):
        with pytest.raises(InputError, match=f"^{name}: an int or a 0-dimensional integer tensor, got {wrong.dtype}"):
            Noise.of(**{"seed": 0, "ids": IDS, name: wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", [torch.zeros(3), torch.zeros(3, dtype=torch.bool), torch.zeros(3, 1).long(), torch.tensor(3), torch.zeros(3) * 1j]
)
def test_ids_and_visits_are_rows_of_whole_numbers(wrong: Tensor) -> None:
    rows = "B" if not wrong.ndim else "3"
    with pytest.raises(InputError, match=rf"^ids: expected whole numbers \[{rows}\], got {wrong.dtype}"):
        Noise.of(0, wrong)
    with pytest.raises(InputError, match=rf"^visits: expected whole numbers \[3\], got {wrong.dtype}"):
        Noise.of(0, torch.arange(3), visits=wrong)
    short = torch.arange(3, dtype=torch.uint8)
    assert Noise.of(0, short, visits=short).key.equal(Noise.of(0, short.long(), visits=short.long()).key)


def test_a_row_gets_up_to_2_to_the_24_numbers(spy: Spy, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(spy, "bits", lambda key, count: asked.append(count))
    monkeypatch.setattr(spy, "uniform", lambda key, count: asked.append(count))
    for draw in (Noise(IDS).bits, Noise(IDS).uniform):
        for count in (0, 1, MOST_NUMBERS):
            draw(count)
        for wrong in (-1, MOST_NUMBERS + 1):
            with pytest.raises(InputError, match=r"^count: must lie in 0\.\.16777216$"):
                draw(wrong)
        for other in (True, 1.0, "1", None):
            with pytest.raises(InputError, match=f"^count: how many numbers for each row, got {type(other).__name__}$"):
                draw(other)  # type: ignore[arg-type]
    assert asked == [0, 1, MOST_NUMBERS] * 2


def test_a_part_is_named_by_a_word_or_a_number() -> None:
    for wrong in (1.5, None, b"x"):
        with pytest.raises(InputError, match=f"^fold: a name or a whole number, got {type(wrong).__name__}$"):
            Noise(IDS).fold(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("backend", ["plain", "numba"])
def test_noise_without_rows_draws_nothing(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if backend == "numba":
        pytest.importorskip("numba", reason="numba is not installed")
    monkeypatch.setenv("AUGURY_BACKEND", backend)
    none = Noise.of(0, IDS[:0], visits=IDS[:0]).fold("a")
    assert none.bits(3).shape == (0, 3) and none.uniform(2).shape == (0, 2) and len(none) == 0
    assert Noise(IDS).bits(0).shape == (5, 0)


def test_signed_numbers_are_the_same_64_bits() -> None:
    assert [signed(value) for value in (0, 2**63 - 1, 2**63, 2**64 - 1)] == [0, 2**63 - 1, -(2**63), -1]
    assert all(signed(value & MASK) == value for value in BIG)


def test_stacked_rows_are_those_of_each() -> None:
    for draws in ("independent", "stratified"):
        one = Noise.of(0, IDS, epoch=3, draws=draws)  # type: ignore[arg-type]
        parts = [one.fold("a"), one.fold("b")]
        every = one.stacked(parts)
        assert len(every) == 15 and every.uniform(2).equal(torch.cat([each.uniform(2) for each in (one, *parts)]))
        assert (every.walk is None) == (draws == "independent")


class Torch:
    """PyTorch with another `torch.compiler`."""

    def __init__(self, compiler: object) -> None:
        self.compiler = compiler

    def __getattr__(self, name: str) -> object:
        return getattr(torch, name)


class TestWithinACompiledGraph:
    """`torch.compiler.is_compiling` says so; the opaque operators run outside, as they do where a graph runs."""

    @pytest.fixture
    def compiling(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        opaque: list[str] = []
        state = SimpleNamespace(on=True)

        def outside(name: str, operator: object) -> object:
            def run(*given: object) -> object:
                opaque.append(name)
                state.on = False
                try:
                    return operator(*given)  # type: ignore[operator]
                finally:
                    state.on = True

            return run

        told = Torch(SimpleNamespace(is_compiling=lambda: state.on))
        for module in (noise, mixing, devices, doors):  # not PyTorch's own function, by which its compiler knows it
            monkeypatch.setattr(module, "torch", told)
        monkeypatch.setattr(mixing, "_opaque", outside("mix", mixing._opaque))
        monkeypatch.setattr(noise, "absorb", outside("absorb", absorb))
        monkeypatch.setattr(noise, "counted_bits", outside("bits", counted_bits))
        return opaque

    def test_draws_are_the_same(self, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
        expected = everything() + [hashed(IDS, torch.tensor([[3]])), Noise.of(4, IDS).key, Noise.of(torch.tensor(4), IDS).key]
        opaque = request.getfixturevalue("compiling")
        found = everything() + [hashed(IDS, torch.tensor([[3]])), Noise.of(4, IDS).key, Noise.of(torch.tensor(4), IDS).key]
        assert set(opaque) == {"mix", "absorb", "bits"}
        assert all(a.dtype == b.dtype and a.equal(b) for a, b in zip(found, expected, strict=True))

    def test_every_part_is_absorbed_by_one_operator(self, compiling: list[str]) -> None:
        noise._absorb(IDS, torch.tensor(3))
        noise._absorb(IDS, 3)
        noise._absorb(3, IDS)
        assert compiling == ["absorb"] * 3
        Noise(IDS).bits(4)
        assert compiling[3:] == ["bits"]

    def test_other_devices_compile_the_hash_itself(self, compiling: list[str]) -> None:
        there = IDS.to("meta")
        noise._absorb(there, 3)
        Noise(there).bits(2)
        assert not compiling


def test_operators_tell_a_compiler_what_they_give() -> None:
    """PyTorch's own check: shapes, dtypes and devices of what a graph is traced with are those of what it computes."""
    scalar = torch.tensor(7)
    for given in ((IDS, scalar, 0), (IDS, IDS, 0), (scalar, IDS.int(), 0), (IDS, None, 9), (None, IDS, 9), (None, scalar, 9)):
        torch.library.opcheck(absorb, given)
    for count in (0, 1, 4):
        torch.library.opcheck(counted_bits, (IDS, count))
    torch.library.opcheck(mixing._opaque, (IDS,))


class TestDisagreement:
    """What a GPU's compiled hash is compared with at its first use; here on the processor."""

    cpu = torch.device("cpu")

    def test_a_right_hash_agrees(self) -> None:
        assert disagreement(Spy(), self.cpu) is None  # type: ignore[arg-type]

    @pytest.mark.parametrize("part", ["bits", "absorbed"])
    @pytest.mark.parametrize("row", range(4))
    def test_one_wrong_bit_of_any_row_is_found(self, part: str, row: int) -> None:
        spy = Spy()
        right = getattr(spy, part)

        def wrong(*given: object) -> Tensor:
            found: Tensor = right(*given).clone()
            found[row] ^= 1 << 17
            return found

        setattr(spy, part, wrong)
        assert disagreement(spy, self.cpu) == part  # type: ignore[arg-type]

    def test_the_rows_that_are_compared_are_of_both_signs_and_differ(self) -> None:
        spy, seen = Spy(), []
        right = spy.bits
        spy.bits = lambda key, count: (seen.append((key, count)), right(key, count))[1]  # type: ignore[method-assign,func-returns-value]
        disagreement(spy, self.cpu)  # type: ignore[arg-type]
        ((keys, count),) = seen
        assert len(set(keys.tolist())) == 4 and min(keys.tolist()) == -(2**63) and max(keys.tolist()) == 2**63 - 1 and count > 1

    def test_an_error_is_told_by_its_first_line(self) -> None:
        spy = Spy()

        def fails(*given: object) -> Tensor:
            raise RuntimeError("no ptxas here\nand a long trace")

        spy.absorbed = fails  # type: ignore[method-assign]
        assert disagreement(spy, self.cpu) == "RuntimeError: no ptxas here"  # type: ignore[arg-type]
