"""Scratch memory of the compiled kernels, made once per call and thread, so that their parts allocate nothing."""

from typing import NamedTuple

import numpy as np

from augury.core.jit import jit

STEP = 64  # bytes that are moved at once, where a processor can; rows of scratch are longer by as much as may be read beyond
ROWS = 32  # of hashes at a time


class Space(NamedTuple):
    """images: uint8 [4,C,H,W]. packed: int32 [H*W], the channels of a pixel in one number. lines: int32 [8,n] and shares:
    float64 [2,n] per column or row; levels: uint8 [16,n]; sums: uint16 [n]. table: uint8 [256] and counts: int32 [4,256].
    hashes: uint64 [ROWS, n/8]. n: the longer side and a step."""

    images: np.ndarray
    packed: np.ndarray
    lines: np.ndarray
    shares: np.ndarray
    levels: np.ndarray
    sums: np.ndarray
    table: np.ndarray
    counts: np.ndarray
    hashes: np.ndarray


@jit
def space_for(channels, height, width):
    n = max(height, width) + 2 * STEP
    return Space(
        np.empty((4, channels, height, width), np.uint8),
        np.empty(height * width, np.int32),
        np.empty((8, n), np.int32),
        np.empty((2, n), np.float64),
        np.zeros((16, n), np.uint8),
        np.empty(n, np.uint16),
        np.empty(256, np.uint8),
        np.empty((4, 256), np.int32),
        np.empty((ROWS, n // 8 + 2), np.uint64),
    )
