"""Look-ups, copies and levels between two give the same with the processor's widest instructions and without them."""

import os
import subprocess
import sys

import pytest

numba = pytest.importorskip("numba")

SCRIPT = """
import numpy as np
from numba import njit
from augury.augment.forms import numba_between, numba_far, numba_wide
looked_up, permuted, interleaved = numba_wide.looked_up, numba_wide.permuted, numba_wide.interleaved

@njit
def run(levels, found, table, line, start, index, moved, first, second, third, side):
    looked_up(levels, found, table)
    permuted(line, 3, start, index, moved, 150)
    interleaved(first, second, third, side, 5)

random = np.random.default_rng(0)
levels, table, line = (random.integers(0, 256, n, np.uint8) for n in (1000 + 37, 256, 300))
index, start = random.integers(0, 64, 192).astype(np.uint8), np.array([0, 70, 236], np.int32)  # the last step reaches the end
three = random.integers(0, 256, (3, 39), np.uint8)
found, moved, side = np.zeros_like(levels), np.zeros(192, np.uint8), np.zeros(5 + 3 * 39, np.uint8)
run(levels, found, table, line, start, index, moved, *three, side)
assert (found == table[levels]).all()
wanted = line[np.minimum(3 + start[np.arange(150) // 64] + index[:150], 299)]
assert (moved[:150] == wanted).all()
assert (side[5:] == three.T.reshape(-1)).all() and not side[:5].any()

@njit
def copy(source, into):
    numba_far.streamed(source, into)
    numba_far.landed()

for kind in (np.uint8, np.uint16, np.float32):
    for count in (0, 1, 15, 63, 64, 65, 200, 1000):
        for before in range(0, 66, 5):  # wherever the copy begins within a line of memory
            source, whole = random.integers(0, 256, count).astype(kind), np.zeros(count + 200, kind)
            copy(source, whole[before : before + count])
            assert (whole[before : before + count] == source).all()
            assert not whole[:before].any() and not whole[before + count :].any()

@njit
def block(flat, begin, into, at, count, step, times, packed, bytes):
    numba_wide.moved(flat, begin, into, at, count, step, times)
    numba_wide.filled(into, 0, at - 3, np.uint8(9))
    for c in range(4):
        numba_wide.separated(packed, bytes[c], c)

for count in range(80):
    for times in (0, 1, 3):
        flat, into, step = random.integers(0, 256, 500).astype(np.uint8), np.zeros(500, np.uint8), count + 5
        packed = random.integers(0, 1 << 32, 200, dtype=np.uint32)
        at, bytes = 3 + int(random.integers(0, 100)), np.zeros((4, count + 20), np.uint8)
        block(flat, 20, into, at, count, step, times, packed, bytes)
        wanted = np.zeros_like(into)
        wanted[: at - 3] = 9
        for j in range(times):
            wanted[at + step * j : at + step * j + count] = flat[20 + step * j : 20 + step * j + count]
        assert (into == wanted).all()
        assert (bytes == packed.view(np.uint8).reshape(-1, 4).T[:, : count + 20]).all()

@njit
def within(flat, begin, place, weight, count, words, order, start, into):
    numba_between.arranged(place, weight, count, words, order, start)
    numba_between.across(flat, begin, place, weight, count, words, order, start, into, 3)

@njit
def under(flat, near, far, weight, into, count):
    numba_between.down(flat, near, far, weight, into, 3, count)

ONE = numba_between.ONE
for trial in range(400):
    count = int(random.integers(1, 200))
    flat = random.integers(0, 256, 1000).astype(np.uint8) if trial % 2 else random.choice(np.array([0, 255], np.uint8), 1000)
    weight = random.integers(0, ONE + 1, 200).astype(np.int32)
    weight[::3] = np.array([0, ONE, 1, ONE - 1, 127, 128, 129, ONE // 2])[random.integers(0, 8, len(weight[::3]))]
    place = np.cumsum(random.integers(0, 2, 200)).astype(np.int32)
    begin, into = int(random.integers(0, 1000 - place[count - 1])), np.zeros(300, np.uint8)
    within(flat, begin, place, weight, count, np.zeros((2, 300), np.int16), np.zeros(600, np.uint8), np.zeros(20, np.int32), into)
    near = begin + place[:count]
    a, b = flat[near].astype(np.int64), flat[np.minimum(near + 1, 999)].astype(np.int64)
    assert (into[3 : 3 + count] == (a * (ONE - weight[:count]) + b * weight[:count] + ONE // 2) // ONE).all()
    assert not into[:3].any()

    one, other, into = int(random.integers(0, 700)), int(random.integers(0, 700)), np.full(300, 7, np.uint8)
    under(flat, one, other, weight[0], into, count)
    a, b = flat[one : one + count].astype(np.int64), flat[other : other + count].astype(np.int64)
    assert (into[3 : 3 + count] == (a * (ONE - int(weight[0])) + b * int(weight[0]) + ONE // 2) // ONE).all()
    assert (into[:3] == 7).all() and (into[3 + count :] == 7).all()
print(numba_wide.WIDE)
"""


@pytest.mark.parametrize("processor", ["", "generic"])
def test_every_way_gives_what_numpy_gives(processor: str) -> None:
    chosen = {"NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": ""} if processor else {}
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, env={**os.environ, **chosen})
    assert done.returncode == 0, done.stderr
    assert not processor or done.stdout.strip() == "False"
