"""The hash of augury.core.noise compiled by numba: one pass over a batch's keys where PyTorch needs a dozen small ones.

The same wrapping 64-bit arithmetic, hence the same bits.
"""

import numpy as np
from numba import njit

GOLDEN = np.uint64(0x9E3779B97F4A7C15)

jit = njit(cache=True, nogil=True, boundscheck=False)


@jit
def mixed(v):
    """The splitmix64 finaliser; every unsigned 64-bit number."""
    v = (v ^ (v >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    v = (v ^ (v >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return v ^ (v >> np.uint64(31))


@jit
def absorbed(state, part):
    """int64: states after one more part of the address each; of either array, one entry may stand for all rows."""
    count = max(len(state), len(part)) if len(state) and len(part) else 0
    out = np.empty(count, np.int64)
    for k in range(count):
        before, more = state[k if len(state) > 1 else 0], part[k if len(part) > 1 else 0]
        out[k] = mixed(mixed(np.uint64(before) + GOLDEN) ^ np.uint64(more))
    return out


@jit
def bits(key, count):
    """int64 [B, count]."""
    out = np.empty((len(key), count), np.int64)
    for i in range(len(key)):
        for k in range(count):
            out[i, k] = mixed(np.uint64(key[i]) + np.uint64(k + 1) * GOLDEN)
    return out


@jit
def uniform(key, count):
    """float32 [B, count]: the upper 24 of the bits."""
    out = np.empty((len(key), count), np.float32)
    for i in range(len(key)):
        for k in range(count):
            level = mixed(np.uint64(key[i]) + np.uint64(k + 1) * GOLDEN) >> np.uint64(40)
            out[i, k] = np.float32(level) * np.float32(2.0**-24)
    return out
