"""Look-ups and copies give the same with the processor's widest instructions and without them."""

import os
import subprocess
import sys

import pytest

numba = pytest.importorskip("numba")

SCRIPT = """
import numpy as np
from numba import njit
from augury.augment.forms import numba_wide
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
    numba_wide.streamed(source, into)
    numba_wide.landed()

for kind in (np.uint8, np.uint16, np.float32):
    for count in (0, 1, 15, 63, 64, 65, 200, 1000):
        for before in range(0, 66, 5):  # wherever the copy begins within a line of memory
            source, whole = random.integers(0, 256, count).astype(kind), np.zeros(count + 200, kind)
            copy(source, whole[before : before + count])
            assert (whole[before : before + count] == source).all()
            assert not whole[:before].any() and not whole[before + count :].any()
print(numba_wide.WIDE)
"""


@pytest.mark.parametrize("processor", ["", "generic"])
def test_look_ups_and_copies_are_those_of_numpy(processor: str) -> None:
    chosen = {"NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": ""} if processor else {}
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, env={**os.environ, **chosen})
    assert done.returncode == 0, done.stderr
    assert not processor or done.stdout.strip() == "False"
