"""Loops that several of the numba back end's kernels are made of: copies, boxes, mixes."""

import numpy as np

from augury.augment.forms.region import Content
from augury.core.hash_numba import GOLDEN, mixed
from augury.core.jit import inlined, leaf

CONSTANT, NOISE, GRID = int(Content.CONSTANT), int(Content.NOISE), int(Content.GRID)
ROWS = 32  # of hashes at a time
START = np.int64(0)  # as an argument: for a plain 0 numba compiles the part once more


@inlined
def copied(source, target):
    """One stretch of memory; loops from 0 over slices are what the compiler turns into wide moves."""
    for k in range(target.shape[0]):
        target[k] = source[k]


@inlined
def _filled(into, fill):
    for x in range(into.shape[0]):
        into[x] = fill


@inlined
def mixed_pixels(own, other, into, share):
    """Weighted sums of levels, product by product as in PyTorch."""
    rest = np.float32(1) - share
    for k in range(into.shape[0]):
        level = np.float32(own[k]) * share + np.float32(other[k]) * rest + np.float32(0.5)
        into[k] = np.uint8(min(max(level, np.float32(0)), np.float32(255)))


@inlined
def mixed_values(own, other, into, share):
    """Weighted sums of float32 values; `into` may be `own`."""
    rest = np.float32(1) - share
    for k in range(into.shape[0]):
        into[k] = own[k] * share + other[k] * rest


@leaf
def normalised(levels, into, by, add):
    """Levels to float32 values."""
    for k in range(into.shape[0]):
        into[k] = np.float32(levels[k]) * by + add


@inlined
def mixed_levels(mine, theirs, into, by, add, share):
    """Levels of two images to the weighted sums of their values, product by product as above."""
    rest = np.float32(1) - share
    for k in range(into.shape[0]):
        into[k] = (np.float32(mine[k]) * by + add) * share + (np.float32(theirs[k]) * by + add) * rest


@leaf
def spliced(own, other, target, box):
    """Rows of the other image between what stays of the own one, every byte written once."""
    channels, height, width = own.shape
    top, left, bottom, right = box[0], box[1], box[2], box[3]
    mine, theirs, into = own.reshape(-1), other.reshape(-1), target.reshape(-1)
    done = 0
    if left < right:
        for c in range(channels):
            for y in range(top, bottom):
                first = (c * height + y) * width + left
                last = first + right - left
                copied(mine[done:first], into[done:first])
                copied(theirs[first:last], into[first:last])
                done = last
    copied(mine[done:], into[done:])


@leaf
def painted(band, first, count, content, fill, pattern, grid, box, hashes):
    """A box painted into `count` rows from `first` on of an image, [C,n,W]; what another image brings is left alone.

    hashes: uint64 [ROWS,W//8+2], scratch.
    """
    top, left, bottom, right = box[0], box[1], box[2], box[3]
    above, below = max(top, first), min(bottom, first + count)
    if below <= above or right <= left:
        return
    if content == CONSTANT:
        for c in range(band.shape[0]):
            for y in range(above - first, below - first):
                _filled(band[c, y, left:right], fill)
    elif content == NOISE:
        start = mixed(np.uint64(pattern) + GOLDEN)
        for c in range(band.shape[0]):
            _noise(band[c], first, above, left, below, right, start, c, hashes)
    elif content == GRID:
        _grid(band, first, above, below, grid, box, fill)


@leaf
def _noise(plane, first, top, left, bottom, right, start, channel, hashes):
    """Noise by augury.core.noise.hashed, whose hash holds a level per byte, the lowest first, for eight neighbours. Some rows are
    hashed before any is read: bytes that were just written in eights are slow to read in other pieces."""
    scale, eighth = np.float32(12**0.5 / 256), left >> 3
    count = ((right + 7) >> 3) - eighth
    for begin in range(top, bottom, ROWS):
        for y in range(begin, min(begin + ROWS, bottom)):
            line = hashes[y - begin]
            at = start + np.uint64((channel << 40) | (y << 20) | eighth) * GOLDEN  # neighbours' numbers follow each other
            for k in range(count):
                line[k] = mixed(at)
                at += GOLDEN
        for y in range(begin, min(begin + ROWS, bottom)):
            levels, into = hashes[y - begin].view(np.uint8)[left - 8 * eighth :], plane[y - first, left:right]
            if plane.itemsize == 1:  # pixels
                for k in range(into.shape[0]):
                    into[k] = levels[k]
            else:
                for k in range(into.shape[0]):
                    into[k] = (np.float32(levels[k]) - np.float32(127.5)) * scale


@leaf
def _grid(band, first, above, below, grid, box, fill):
    period, size, down, across, cosine, sine = grid[0], grid[1], grid[2], grid[3], grid[4], grid[5]
    top, left, bottom, right = box[0], box[1], box[2], box[3]
    for y in range(above, below):
        yy = 2 * y + 1 - top - bottom
        for x in range(left, right):
            xx = 2 * x + 1 - left - right
            row = ((yy * cosine - xx * sine) >> 17) + down
            column = ((xx * cosine + yy * sine) >> 17) + across
            if row % period >= size and column % period >= size:
                for c in range(band.shape[0]):
                    band[c, y - first, x] = fill
