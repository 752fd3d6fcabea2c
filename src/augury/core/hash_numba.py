"""The hash of augury.core.noise compiled by numba: one pass over a batch's keys where PyTorch needs a dozen small ones.

It uses the same wrapping 64-bit arithmetic and therefore gives the same bits.
"""

import numpy as np
import torch
from torch import Tensor

from augury.core.jit import jit, leaf
from augury.core.stratified import LEVELS

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def absorbed(state: int | Tensor, part: int | Tensor) -> Tensor:
    """int64: each state after absorbing one more part of the address.

    At least one of the two is a tensor, 0-dimensional or [B]; ints are signed 64-bit numbers.
    """
    if isinstance(part, int) and isinstance(state, Tensor) and state.ndim:
        return torch.from_numpy(_absorbed_number(state.numpy(), part))
    found = torch.from_numpy(_absorbed(_array(state), _array(part)))
    return found if any(isinstance(a, Tensor) and a.ndim for a in (state, part)) else found[0]


def bits(key: Tensor, count: int) -> Tensor:
    """int64 [B, count]."""
    return torch.from_numpy(_bits(key.numpy(), count))


def uniform(key: Tensor, count: int) -> Tensor:
    """float32 [B, count]: the upper 24 of the bits."""
    return torch.from_numpy(_uniform(key.numpy(), count))


def stratified(key: Tensor, epoch: int, count: int) -> Tensor:
    """float32 [B, count]: as augury.core.stratified computes it."""
    return torch.from_numpy(_stratified(key.numpy(), epoch, count))


def _array(address: int | Tensor) -> np.ndarray:
    if isinstance(address, int):
        return np.array([address], np.int64)
    return address.to(torch.int64).reshape(-1).numpy()


@leaf
def mixed(v):
    """The splitmix64 finaliser of an unsigned 64-bit number."""
    v = (v ^ (v >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    v = (v ^ (v >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return v ^ (v >> np.uint64(31))


@leaf
def _after(state, part):
    return mixed(mixed(np.uint64(state) + GOLDEN) ^ np.uint64(part))


@leaf
def _draw(key, k):
    return mixed(np.uint64(key) + np.uint64(k + 1) * GOLDEN)


@jit
def _absorbed(state, part):
    """Either array may have a single entry, which is broadcast to all rows."""
    count = max(len(state), len(part)) if len(state) and len(part) else 0
    out = np.empty(count, np.int64)
    for k in range(count):
        before, more = state[k if len(state) > 1 else 0], part[k if len(part) > 1 else 0]
        out[k] = _after(before, more)
    return out


@jit
def _absorbed_number(state, part):
    """As above, with the same number for all rows."""
    out = np.empty(len(state), np.int64)
    for k in range(len(state)):
        out[k] = _after(state[k], part)
    return out


@jit
def _bits(key, count):
    out = np.empty((len(key), count), np.int64)
    for i in range(len(key)):
        for k in range(count):
            out[i, k] = _draw(key[i], k)
    return out


@jit
def _uniform(key, count):
    out = np.empty((len(key), count), np.float32)
    for i in range(len(key)):
        for k in range(count):
            out[i, k] = np.float32(_draw(key[i], k) >> np.uint64(40)) * np.float32(2.0**-24)
    return out


@jit
def _stratified(key, epoch, count):
    out = np.empty((len(key), count), np.float32)
    for i in range(len(key)):
        for k in range(count):
            base = _draw(key[i], k)
            prefix = np.int64(0)
            for level in range(1, LEVELS + 1):
                place = ((epoch >> level) << 20) | (prefix << 5) | level
                drawn = mixed(base + np.uint64(place) * GOLDEN)
                prefix = prefix * 2 + (((epoch >> (level - 1)) & 1) ^ np.int64(drawn >> np.uint64(63)))
            rest = mixed(base + np.uint64((epoch << 20) | 31) * GOLDEN) >> np.uint64(64 - 24 + LEVELS)
            out[i, k] = np.float32((prefix << (24 - LEVELS)) | np.int64(rest)) * np.float32(2.0**-24)
    return out
