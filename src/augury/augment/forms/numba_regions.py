"""The numba back end's kernels that read another image: regions, mixes, and InAugment's patches.

A file of its own as that of the other kernels is, and for its reason: the cache on disk notices edits of this file alone.
"""

import numpy as np

from augury.augment.forms.region import Content
from augury.core.hash_numba import GOLDEN, mixed
from augury.core.jit import jit

CONSTANT, PARTNER, NOISE, GRID = int(Content.CONSTANT), int(Content.PARTNER), int(Content.NOISE), int(Content.GRID)


@jit
def regions(images, out, partner, content, fill, pattern, grid, box, integer, start, stop):
    """Rows start..stop of the images with their boxes filled, into `out`; partners are read from `images`."""
    _, channels, _, width = images.shape
    hashes = np.empty((32, width // 8 + 2), np.uint64)
    for i in range(start, stop):
        kind = content[i]
        top, left, bottom, right = box[i, 0], box[i, 1], box[i, 2], box[i, 3]
        if kind == PARTNER and left < right:
            _spliced(images[i], images[partner[i]], out[i], top, left, bottom, right)
            continue
        _copy(images[i].reshape(-1), out[i].reshape(-1))
        if kind == CONSTANT:
            for c in range(channels):
                for y in range(top, bottom):
                    out[i, c, y, left:right] = fill[i]
        elif kind == NOISE:
            begin = mixed(np.uint64(pattern[i]) + GOLDEN)
            for c in range(channels):
                _noise(out[i, c], top, left, bottom, right, begin, c, hashes, integer)
        elif kind == GRID:
            _grid(out[i], top, left, bottom, right, grid[i], fill[i])


@jit
def _copy(source, target):
    """One stretch of memory; loops from 0 over slices are what the compiler turns into wide moves."""
    for k in range(target.shape[0]):
        target[k] = source[k]


@jit
def _noise(plane, top, left, bottom, right, start, channel, hashes, integer):
    """A box of a channel's plane by augury.core.noise.hashed, whose hash holds a level per byte, the lowest first, for eight
    neighbours. `hashes` is scratch for some rows: bytes that were just written in eights are slow to read in other pieces."""
    scale, first = np.float32(12**0.5 / 256), left >> 3
    count, several = ((right + 7) >> 3) - first, hashes.shape[0]
    for begin in range(top, bottom, several):
        for y in range(begin, min(begin + several, bottom)):
            line = hashes[y - begin]
            at = start + np.uint64((channel << 40) | (y << 20) | first) * GOLDEN  # neighbours' numbers follow each other
            for k in range(count):
                line[k] = mixed(at)
                at += GOLDEN
        for y in range(begin, min(begin + several, bottom)):
            levels, into = hashes[y - begin].view(np.uint8)[left - 8 * first :], plane[y, left:right]
            if integer:
                _copy(levels, into)
            else:
                for k in range(into.shape[0]):
                    into[k] = (np.float32(levels[k]) - np.float32(127.5)) * scale


@jit
def _spliced(own, other, target, top, left, bottom, right):
    """Rows of the other image between what stays of the own one, every byte written once."""
    channels, height, width = own.shape
    mine, theirs, into = own.reshape(-1), other.reshape(-1), target.reshape(-1)
    done = 0
    for c in range(channels):
        for y in range(top, bottom):
            first = (c * height + y) * width + left
            last = first + right - left
            _copy(mine[done:first], into[done:first])
            _copy(theirs[first:last], into[first:last])
            done = last
    _copy(mine[done:], into[done:])


@jit
def _grid(image, top, left, bottom, right, grid, fill):
    period, band, down, across, cosine, sine = grid
    for y in range(top, bottom):
        yy = 2 * y + 1 - top - bottom
        for x in range(left, right):
            xx = 2 * x + 1 - left - right
            row = ((yy * cosine - xx * sine) >> 17) + down
            column = ((xx * cosine + yy * sine) >> 17) + across
            if row % period >= band and column % period >= band:
                for c in range(image.shape[0]):
                    image[c, y, x] = fill


@jit
def mix(images, others, out, partner, keep, integer, start, stop):
    """Weighted sums with rows of `others`, product by product as in PyTorch."""
    for i in range(start, stop):
        own, other, into = images[i].reshape(-1), others[partner[i]].reshape(-1), out[i].reshape(-1)
        share = keep[i]
        rest = np.float32(1) - share
        if integer:
            for k in range(into.shape[0]):
                level = np.float32(own[k]) * share + np.float32(other[k]) * rest + np.float32(0.5)
                into[k] = np.uint8(min(max(level, np.float32(0)), np.float32(255)))
        else:
            for k in range(into.shape[0]):
                into[k] = own[k] * share + other[k] * rest


@jit
def cut(images, out, rows, box):
    for i in range(out.shape[0]):
        top, left, bottom, right = box[i]
        for c in range(out.shape[1]):
            for y in range(top, bottom):
                _copy(images[rows[i], c, y, left:right], out[i, c, y - top, : right - left])


@jit
def paste(out, pieces, corner, size, on, order):
    _, channels, height, width = out.shape
    for i in range(out.shape[0]):
        for k in order[i]:
            if not on[i, k]:
                continue
            top, left = corner[i, k]
            rows, columns = size[i, k]
            first, last = max(left, 0), min(left + columns, width)
            if last <= first:
                continue
            for c in range(channels):
                for y in range(max(top, 0), min(top + rows, height)):
                    _copy(pieces[i, k, c, y - top, first - left : last - left], out[i, c, y, first:last])
