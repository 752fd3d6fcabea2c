"""The numba back end's kernels for weighted sums along columns and rows.

Sums are 32-bit integers, as Pillow's are: weights that sum to 2^22 times 255 levels, with cubic weights half as much again,
stay below 2^31.
"""

import numpy as np

from augury.core.jit import jit, part


@jit
def weighted_columns(images, out, position, weight, start, stop):
    _, channels, height, width = images.shape
    length = out.shape[3]
    total, read = np.empty(length, np.int32), np.empty(length, np.uint8)
    for i in range(start, stop):
        taps = 0
        for x in range(length):
            taps = max(taps, _reach(weight[i, x]))
        place, share, ends = np.empty((taps, length), np.int32), np.empty((taps, length), np.int32), np.zeros((taps, 2), np.int64)
        for k in range(taps):
            for x in range(length):
                place[k, x] = min(max(position[i, x, k], 0), width - 1)
                share[k, x] = weight[i, x, k]
            _consecutive(place[k], ends[k])
        for c in range(channels):
            for y in range(height):
                _clear(total)
                for k in range(taps):
                    _gather(images[i, c, y], place[k], read, ends[k, 0], ends[k, 1])
                    by = share[k]
                    for x in range(length):
                        total[x] = np.int32(total[x] + np.int32(np.int32(read[x]) * by[x]))
                _levels(total, out[i, c, y])


@jit
def weighted_rows(images, out, position, weight, start, stop):
    _, channels, height, width = images.shape
    total = np.empty(width, np.int32)
    for i in range(start, stop):
        for y in range(out.shape[2]):
            reach = _reach(weight[i, y])
            for c in range(channels):
                _clear(total)
                for k in range(reach):
                    at = min(max(position[i, y, k], 0), height - 1)
                    line, share = images[i, c, at], np.int32(weight[i, y, k])
                    for x in range(width):
                        total[x] = np.int32(total[x] + np.int32(np.int32(line[x]) * share))
                _levels(total, out[i, c, y])


@part
def _reach(weight):
    """How many of the weights count: the rest are zeros."""
    last = weight.shape[0]
    while last > 0 and weight[last - 1] == 0:
        last -= 1
    return last


@part
def _consecutive(place, ends):
    """From where to where the first run of neighbours goes that are read one after another: nearly all of a blur's row."""
    first, most = 0, place.shape[0] - 1
    while first < most and place[first + 1] != place[first] + 1:
        first += 1
    last = first
    while last < most and place[last + 1] == place[last] + 1:
        last += 1
    ends[0], ends[1] = first, last + 1


@part
def _gather(line, place, read, first, last):
    for x in range(first):
        read[x] = line[np.uint32(place[x])]
    stretch, into = line[place[first] :], read[first:last]
    for x in range(into.shape[0]):
        into[x] = stretch[x]
    rest, chosen = read[last:], place[last:]
    for x in range(rest.shape[0]):
        rest[x] = line[np.uint32(chosen[x])]


@part
def _clear(total):
    for x in range(total.shape[0]):
        total[x] = 1 << 21


@part
def _levels(total, into):
    for x in range(into.shape[0]):
        into[x] = np.uint8(min(max(total[x] >> np.int32(22), np.int32(0)), np.int32(255)))
