"""Addressable randomness: each random number is a hash of its address, so it can be computed again at any time, in any order.

The address of a draw is (seed, epoch, view, sample id, visit) and the names of the pipeline parts that lead to it. There is
no generator state. Batch size, order, workers, device, world size and resuming therefore cannot change what an image gets.

The hash is the splitmix64 finaliser (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators"; the
constants are Stafford's variant 13), applied once per part of the address. It uses wrapping 64-bit integers, for which PyTorch
gives the same result on every device, so that bits and uniform numbers are the same everywhere. If installed, numba on a CPU
and Triton on CUDA compute the same in one pass per draw.
"""

import functools
import hashlib
import importlib
import importlib.util
import itertools
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import get_args

import torch
from torch import Tensor

from augury.core import warmup
from augury.core.devices import constant, constant_when_compiled
from augury.core.doors import door
from augury.core.draws import Draws
from augury.core.errors import InputError
from augury.core.mixing import absorb, counted_bits
from augury.core.mixing import mix_tensor as _mix_tensor
from augury.core.mixing import shift as _shift
from augury.core.mixing import signed as _signed
from augury.core.stratified import Walk, stratified

MOST_NUMBERS = 1 << 24  # for each row
_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_FIRST = 0xBF58476D1CE4E5B9
_SECOND = 0x94D049BB133111EB
_NUMBA = "augury.core.hash_numba"
_MANY_ROWS, _FEW_DRAWS = 1 << 20, 100
WALK = 0x57414C4B  # takes the epoch's place in addresses that are the same in all epochs
Address = int | Tensor
_NAMES = str, int  # a tuple: PyTorch 2.9 does not compile a union of types


@dataclass(frozen=True)
class Noise:
    """A source of random numbers, one row per sample. `key`: int64 [B]. Immutable.

    Draws are independent, or, with a `walk`, stratified over the epochs (augury.core.stratified).

    >>> noise = Noise.of(seed=0, ids=torch.tensor([7, 8]))
    >>> bool((noise.uniform(3) == Noise.of(seed=0, ids=torch.tensor([8, 7])).uniform(3).flip(0)).all())
    True
    """

    key: Tensor
    walk: Walk | None = None

    @staticmethod
    @door
    def of(
        seed: Address,
        ids: Tensor,
        *,
        epoch: Address = 0,
        view: Address = 0,
        visits: Tensor | None = None,
        draws: Draws = "independent",
    ) -> "Noise":
        """The noise of a batch. `ids`: int64 [B]; seed, epoch and view are ints or 0-dimensional integer tensors.

        `visits`: int64 [B], how often an id was seen before in the epoch (default zeros), so that a repeated id gets new draws.
        draws: `stratified` spreads each sample's uniform numbers evenly over [0, 1) from epoch to epoch.
        """
        if draws not in get_args(Draws):
            raise InputError(f"draws: {draws!r} must be independent or stratified")
        _check(ids, "ids", ids)
        if visits is not None:
            _check(visits, "visits", ids)
        for name, address in (("seed", seed), ("epoch", epoch), ("view", view)):
            if isinstance(address, Tensor) and (address.ndim or address.is_floating_point() or address.is_complex()):
                raise InputError(f"{name}: an int or a 0-dimensional integer tensor, got {address.dtype} {list(address.shape)}")
        key = _address(seed, epoch, view, ids, visits)
        if draws == "independent":
            return Noise(key)
        return Noise(key, Walk(_address(seed, WALK, view, ids, visits), epoch))

    @staticmethod
    def of_epochs(seed: int, epochs: Tensor, ids: Tensor) -> "Noise":
        """The noise of samples in an epoch each, both int64 [n]: row k is that of `Noise.of(seed, ids[k:k+1], epoch=epochs[k])`."""
        return Noise(_address(seed, epochs, 0, ids, None))

    def fold(self, name: str | int) -> "Noise":
        """The noise of a named part; independent of the noise of any other name and of this noise's own draws."""
        if not isinstance(name, _NAMES):
            raise InputError(f"fold: a name or a whole number, got {type(name).__name__}")
        key = _as_tensor(_absorb(self.key, _name_key(name)), self.key)
        if self.walk is None:
            return Noise(key)
        still = _as_tensor(_absorb(self.walk.key, _name_key(name)), self.key)
        return Noise(key, Walk(still, self.walk.epoch))

    def bits(self, count: int) -> Tensor:
        """int64 [B, count], 64 random bits each."""
        _check_count(count)
        if (kernels := _kernels(self.key)) is not None:
            return kernels.bits(self.key, count)
        if torch.compiler.is_compiling() and self.key.device.type == "cpu":
            return counted_bits(self.key, count)
        # Constants, not a product of a range, which PyTorch's compiler would evaluate beyond 64 bits.
        counter = constant(tuple(_signed(k * _GOLDEN & _MASK) for k in range(1, count + 1)), torch.int64, self.key.device)
        return _mix_tensor(self.key[:, None] + counter)

    def uniform(self, count: int) -> Tensor:
        """float32 [B, count] in [0, 1): multiples of 2^-24, the same bits on every device."""
        _check_count(count)
        if self.walk is not None:
            kernels = _kernels(self.walk.key) if isinstance(self.walk.epoch, int) else None
            if kernels is not None and hasattr(kernels, "stratified"):
                return kernels.stratified(self.walk.key, self.walk.epoch, count)
            return stratified(self.walk, Noise(self.walk.key).bits(count))
        if (kernels := _kernels(self.key)) is not None:
            return kernels.uniform(self.key, count)
        return _shift(self.bits(count), 40).to(torch.float32) * 2.0**-24

    def integers(self, count: int, n: int | Tensor) -> Tensor:
        """int64 [B, count], uniform over 0 .. n-1 (bias below n / 2^32); n at most 2^31 - 1."""
        if not isinstance(n, int) and not (isinstance(n, Tensor) and n.dtype == torch.int64):
            raise InputError(f"integers: n is a whole number or int64, got {type(n).__name__}")
        if isinstance(n, int) and not 1 <= n < 2**31:
            raise InputError("integers: n must lie in 1..2^31 - 1")
        if self.walk is not None:
            return (self.uniform(count).double() * n).to(torch.int64)
        return (_shift(self.bits(count), 32) * n) >> 32

    def partners(self, batches: int = 1) -> Tensor:
        """int64 [B]: a different row for every row (itself only if B = 1), the next one in a cyclic random order.

        Which samples become partners depends on the samples in the batch, not on their order. batches: the rows are those of so
        many batches of one size, one after the other, and partners are of the same batch.
        """
        size = len(self) // batches
        order = torch.argsort(self.bits(1).view(batches, size), stable=True, dim=1)
        order = order + torch.arange(batches, device=order.device)[:, None] * size
        partner = torch.empty_like(self.key)
        partner[order.flatten()] = order.roll(-1, 1).flatten()
        return partner

    def stacked(self, others: "Sequence[Noise]") -> "Noise":
        """The rows of this noise and of others derived from it, concatenated."""
        every = [self, *others]
        walks = [noise.walk.key for noise in every if noise.walk is not None]
        walk = None if self.walk is None else Walk(torch.cat(walks), self.walk.epoch)
        return Noise(torch.cat([noise.key for noise in every]), walk)

    def __len__(self) -> int:
        return self.key.shape[0]


def _check_count(count: int) -> None:
    if type(count) is not int and (isinstance(count, bool) or not isinstance(count, int)):
        raise InputError(f"count: how many numbers for each row, got {type(count).__name__}")
    if not 0 <= count <= MOST_NUMBERS:
        raise InputError(f"count: must lie in 0..{MOST_NUMBERS}")


def _check(part: Tensor, name: str, ids: Tensor) -> None:
    if part.ndim != 1 or part.is_floating_point() or part.is_complex() or part.dtype == torch.bool or part.shape != ids.shape:
        raise InputError(f"{name}: expected whole numbers [{len(ids) if ids.ndim else 'B'}], got {part.dtype} {list(part.shape)}")


def _address(seed: Address, epoch: Address, view: Address, ids: Tensor, visits: Tensor | None) -> Tensor:
    shared: Address = _absorb(_absorb(_absorb(_GOLDEN, seed), epoch), view)
    key = _absorb(shared, ids.to(torch.int64))
    return _as_tensor(_absorb(key, visits if visits is not None else 0), ids)


def hashed(key: Tensor, counter: Tensor) -> Tensor:
    """int64, 64 random bits for every pair of key and counter (broadcast), for example a noise field from one key."""
    return _mix_tensor(_mix_tensor(key + _signed(_GOLDEN)) + counter * _signed(_GOLDEN))


@constant_when_compiled
def _name_key(name: str | int) -> int:
    return _hashed_name(name)


@functools.cache
def _hashed_name(name: str | int) -> int:
    return int.from_bytes(hashlib.blake2b(f"{type(name).__name__}:{name}".encode(), digest_size=8).digest(), "little")


def _absorb(state: Address, part: Address) -> Address:
    """The state after one more part of the address. With a plain xor, (seed, epoch) and (epoch, seed) would collide."""
    if isinstance(state, int) and isinstance(part, int):
        return _mix_int((_mix_int((state + _GOLDEN) & _MASK) ^ (part & _MASK)) & _MASK)
    if (kernels := _kernels(state, part)) is not None:
        return kernels.absorbed(*(_signed(a & _MASK) if isinstance(a, int) else a for a in (state, part)))
    if torch.compiler.is_compiling() and all(each.device.type == "cpu" for each in (state, part) if isinstance(each, Tensor)):
        if isinstance(state, int):
            return absorb(None, part, _signed(_mix_int((state + _GOLDEN) & _MASK)))
        return absorb(state, part, 0) if isinstance(part, Tensor) else absorb(state, None, _signed(part & _MASK))
    left = _mix_tensor(state + _signed(_GOLDEN)) if isinstance(state, Tensor) else _mix_int((state + _GOLDEN) & _MASK)
    left = left if isinstance(left, Tensor) else _signed(left)
    right = part.to(torch.int64) if isinstance(part, Tensor) else _signed(part & _MASK)
    return _mix_tensor(left ^ right)  # type: ignore[arg-type]


def _kernels(one: Address, other: Address = 0) -> ModuleType | None:
    """The compiled hash, if it supports these operands: plain tensors of matching rows on one device, outside torch.compile."""
    if torch.compiler.is_compiling() or (asked := os.environ.get("AUGURY_BACKEND")) == "plain":
        return None
    if isinstance(one, int):
        one, other = other, one
    if type(one) is not Tensor or one.ndim > 1:
        return None
    if not isinstance(other, int) and not _fit(one, other):
        return None
    if one.device.type == "cpu" and asked != "numba" and not _pays(one):
        return None
    if one.device.type == "cuda" and not (torch.cuda.is_current_stream_capturing() or _right(one.device.index or 0)):
        return None  # a step that is being recorded was made before
    return _compiled(one.device.type)


def _pays(rows: Tensor) -> bool:
    """Whether numba's kernels are compiled, and loaded already or worth the half second that loading them takes: a command that
    draws a split and ends does without, a loop that goes on drawing does not."""
    worth = _NUMBA in sys.modules or rows.numel() >= _MANY_ROWS or next(_draws()) >= _FEW_DRAWS
    return worth and warmup.ready()


@functools.cache
def _draws() -> Iterator[int]:
    """Counts the draws of this process; on it depends who computes their bits, and not the bits."""
    return itertools.count()


def _fit(one: Tensor, other: Tensor) -> bool:
    if type(other) is not Tensor or other.ndim > 1 or other.device != one.device:
        return False
    return one.ndim != other.ndim or one.shape == other.shape


@functools.cache
def _compiled(device: str) -> ModuleType | None:
    name = {"cpu": "numba", "cuda": "triton"}.get(device)
    if name is None or importlib.util.find_spec(name) is None:
        return None
    return importlib.import_module(f"augury.core.hash_{name}")


@functools.cache
def _right(index: int) -> bool:
    """Whether the hash compiled for a GPU gives PyTorch's bits; says once what is wrong where it does not."""
    kernels = _compiled("cuda")
    found = None if kernels is None else disagreement(kernels, torch.device("cuda", index))
    if found is not None:
        logging.getLogger("augury").warning(
            f"augury: the compiled hash is not used on cuda:{index}, where it does not give the right bits ({found}); PyTorch "
            "draws there, more slowly, with the right result"
        )
    return found is None


def disagreement(kernels: ModuleType, device: torch.device) -> str | None:
    """What of a compiled hash (`absorbed`, `bits`) is not PyTorch's on a device, or the error that it ended in; None if all is."""
    keys = torch.tensor([0, 7, -(2**63), 2**63 - 1], device=device)
    counter = torch.tensor([_signed(k * _GOLDEN & _MASK) for k in (1, 2)], device=device)
    try:
        if not torch.equal(kernels.bits(keys, 2), _mix_tensor(keys[:, None] + counter)):
            return "bits"
        wanted = _mix_tensor(_mix_tensor(keys + _signed(_GOLDEN)) ^ keys.flip(0))
        return None if torch.equal(kernels.absorbed(keys, keys.flip(0)), wanted) else "absorbed"
    except Exception as error:  # whatever a driver or a compiler ends in
        return f"{type(error).__name__}: {error}".splitlines()[0]


def _mix_int(value: int) -> int:
    value = ((value ^ (value >> 30)) * _FIRST) & _MASK
    value = ((value ^ (value >> 27)) * _SECOND) & _MASK
    return value ^ (value >> 31)


def _as_tensor(value: Address, like: Tensor) -> Tensor:
    if isinstance(value, int):
        return torch.full_like(like, _signed(value), dtype=torch.int64)
    return value
