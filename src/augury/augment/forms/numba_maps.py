"""The numba back end's kernels of operations on whole images: displacement, smoothed noise, the extreme of a neighbourhood.

They round as augury.augment.forms.displace and neighbourhood do, operation by operation.
"""

import numpy as np

from augury.augment.forms.numba_parts import copied
from augury.core.hash_numba import GOLDEN, mixed
from augury.core.jit import jit, leaf


@jit
def displaced(images, out, row, column, size, start, stop):
    """Rows start..stop of uint8 [n,C,H,W] read at row and column, float64 [n,H,W]; size int64 [n,2]."""
    for i in range(start, stop):
        rows, columns = size[i, 0], size[i, 1]
        for y in range(rows):
            _line(images[i], out[i], y, row[i, y], column[i, y], rows, columns)
        _border(images[i], out[i], rows, columns)


@leaf
def _border(source, target, rows, columns):
    """What lies outside the valid rows and columns of [C,H,W] is copied."""
    channels, height, width = source.shape
    for c in range(channels):
        for y in range(height):
            first = columns if y < rows else 0
            copied(source[c, y, first:], target[c, y, first:])


@leaf
def _line(image, out, y, row, column, rows, columns):
    last_row, last_column = np.float64(rows - 1), np.float64(columns - 1)
    for x in range(columns):
        down, right = min(max(row[x], 0.0), last_row), min(max(column[x], 0.0), last_column)
        top, left = np.int64(down), np.int64(right)  # not negative: truncation is the floor
        dy, dx = down - top, right - left
        below, beside = min(top + 1, rows - 1), min(left + 1, columns - 1)
        for c in range(image.shape[0]):
            upper = np.float64(image[c, top, left]) * (1.0 - dx) + np.float64(image[c, top, beside]) * dx
            lower = np.float64(image[c, below, left]) * (1.0 - dx) + np.float64(image[c, below, beside]) * dx
            out[c, y, x] = np.uint8(upper * (1.0 - dy) + lower * dy + 0.5)  # between 0.5 and 255.5


@jit
def smooth_field(key, out, weights, start, stop):
    """Rows start..stop of float64 [n,2,H,W] from keys int64 [n] and weights float64 [k]."""
    height, width = out.shape[2], out.shape[3]
    count = weights.shape[0]
    noise = np.empty((height + count - 1, width + count - 1))
    lines = np.empty((height, width + count - 1))
    for i in range(start, stop):
        base = mixed(np.uint64(key[i]) + GOLDEN)
        for c in range(2):
            _noise(base, np.uint64(c) << np.uint64(40), noise)
            for y in range(height):
                _summed_rows(noise, y, weights, lines[y])
                _summed_row(lines[y], weights, out[i, c, y])


@leaf
def _noise(base, place, noise):
    for y in range(noise.shape[0]):
        for x in range(noise.shape[1]):
            at = place | (np.uint64(y) << np.uint64(20)) | np.uint64(x)
            noise[y, x] = np.float64(np.int64(mixed(base + at * GOLDEN) >> np.uint64(40))) * 2.0**-23 - 1.0


@leaf
def _summed_rows(noise, y, weights, into):
    for x in range(into.shape[0]):
        into[x] = noise[y, x] * weights[0]
    for k in range(1, weights.shape[0]):
        for x in range(into.shape[0]):
            into[x] = into[x] + noise[y + k, x] * weights[k]


@leaf
def _summed_row(line, weights, into):
    for x in range(into.shape[0]):
        into[x] = line[x] * weights[0]
    for k in range(1, weights.shape[0]):
        for x in range(into.shape[0]):
            into[x] = into[x] + line[x + k] * weights[k]


@jit
def extreme(images, out, width, size, brightest, square, after, start, stop):
    """Rows start..stop of uint8 [n,C,H,W]; width int64 [n], size int64 [n,2], and the fields of a Neighbourhood."""
    flip = np.uint8(0 if brightest else 255)  # the darkest pixel is the brightest of the negative
    between = np.empty((images.shape[2], images.shape[3]), np.uint8)
    for i in range(start, stop):
        rows, columns, shorter = size[i, 0], size[i, 1], (width[i] - 1) // 2
        before, behind = (shorter, width[i] // 2) if after else (width[i] // 2, shorter)
        _border(images[i], out[i], rows, columns)
        for c in range(images.shape[1]):
            source, target = images[i, c], out[i, c]
            for y in range(rows):
                _copied(source[y], between[y], flip, columns)
                for other in range(max(0, y - before), min(rows, y + behind + 1)):
                    _brighter(source[other], between[y], flip, columns)
            for y in range(rows):
                line = between[y] if square else source[y]
                once = np.uint8(0) if square else flip
                _copied(between[y], target[y], np.uint8(0), columns)
                for shift in range(-before, behind + 1):
                    first, last = max(0, -shift), min(columns, columns - shift)
                    if shift and first < last:
                        _brighter(line[first + shift : last + shift], target[y, first:last], once, last - first)
                _copied(target[y], target[y], flip, columns)


@leaf
def _copied(source, target, flip, count):
    for x in range(count):
        target[x] = source[x] ^ flip


@leaf
def _brighter(source, target, flip, count):
    for x in range(count):
        target[x] = max(target[x], source[x] ^ flip)
