"""The numba back end's resize of a window to the whole image: Pillow's two passes, only over rows that are read."""

import numpy as np

from augury.augment.forms.numba_jit import jit
from augury.augment.forms.numba_vector import STEP, permuted
from augury.augment.forms.separable import Kernel

CUBIC = int(Kernel.CUBIC)


@jit
def resize(source, target, between, kernel, window, rows, columns):
    """A window (float64 [4]: rows' start and end, columns' start and end) of uint8 [C,H,W] fills the valid `rows` and `columns`.

    between: scratch of the images' shape. What lies outside the valid size is copied.
    """
    channels, height, width = source.shape
    across, across_weight, across_taps = _weights(kernel, window[2], window[3], columns)
    down, down_weight, down_taps = _weights(kernel, window[0], window[1], rows)
    first, last = np.int64(window[0]), np.int64(window[1])
    for c in range(channels):
        _columns(source[c], between[c], across, across_weight, across_taps, first, last, width - 1)
        _rows(between[c], target[c], down, down_weight, down_taps, columns, height - 1)
        for y in range(rows):
            for x in range(columns, width):
                target[c, y, x] = source[c, y, x]
        for y in range(rows, height):
            for x in range(width):
                target[c, y, x] = source[c, y, x]


@jit
def _weights(kernel, start, end, length):
    """int32 [length]: where the sum of each result begins; int32 [most,length]: its weights, as augury.augment.forms.separable
    makes them; how many of the most count."""
    scale = (end - start) / max(length, 1)
    stretch = max(scale, 1.0)
    support = 2.0 * stretch if kernel == CUBIC else stretch
    taps = 2 * np.int64(np.ceil(support)) + 1
    place, weight = np.empty(length, np.int32), np.empty((taps, length), np.int32)
    share = np.empty(taps, np.float64)
    used = 0
    for x in range(length):
        centre = start + (x + 0.5) * scale
        first = max(np.floor(centre - support + 0.5), start)
        last = min(np.floor(centre + support + 0.5), end)
        total = 0.0
        for k in range(taps):
            position = first + k
            distance = abs((position - centre + 0.5) / stretch)
            shape = _cubic(distance) if kernel == CUBIC else max(1.0 - distance, 0.0)
            share[k] = shape if position < last else 0.0
            total += share[k]
        total = 1.0 if total == 0.0 else total
        place[x] = np.int32(first)
        for k in range(taps):
            part = share[k] / total * 4194304.0
            weight[k, x] = np.int32(np.trunc(part + (-0.5 if part < 0 else 0.5)))
            if weight[k, x] != 0:
                used = max(used, k + 1)
    return place, weight, used


@jit
def _cubic(x):
    if x < 1:
        return ((-0.5 + 2.0) * x - (-0.5 + 3.0)) * x * x + 1.0
    if x < 2:
        return (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5
    return 0.0


@jit
def _columns(plane, out, place, weight, taps, first, last, most):
    """The sums along the rows `first` to `last` of a plane."""
    length = weight.shape[1]
    steps = (length + STEP - 1) // STEP
    start, index = np.zeros(steps, np.int64), np.zeros(steps * STEP, np.uint8)
    near = True
    for x in range(length):
        if x % STEP == 0:
            start[x // STEP] = place[x]
        reach = place[x] - start[x // STEP]
        near = near and reach < STEP
        index[x] = reach
    line = np.zeros(plane.shape[1] + taps + STEP, np.uint8)  # as long as whole steps read
    read, total = np.empty((taps, steps * STEP), np.uint8), np.empty(length, np.int32)
    for y in range(first, last):
        own = plane[y]
        for x in range(own.shape[0]):
            line[x] = own[x]
        for x in range(own.shape[0], own.shape[0] + taps):
            line[x] = own[most]
        for k in range(taps):
            if near:
                permuted(line[k:], start, index, read[k], length)
            else:
                for x in range(length):
                    read[k, x] = line[place[x] + k]
        _weighed(read, weight, taps, total, out[y, :length])


@jit
def _weighed(read, weight, taps, total, into):
    if taps == 2:  # nearly always: a window that is enlarged
        one, other, near, far = weight[0], weight[1], read[0], read[1]
        for x in range(into.shape[0]):
            level = np.int32(np.int32(np.int32(near[x]) * one[x]) + np.int32(np.int32(far[x]) * other[x]))
            level = np.int32(level + np.int32(1 << 21)) >> np.int32(22)
            into[x] = np.uint8(min(max(level, np.int32(0)), np.int32(255)))
        return
    for x in range(total.shape[0]):
        total[x] = 1 << 21
    for k in range(taps):
        by, levels = weight[k], read[k]
        for x in range(total.shape[0]):
            total[x] = np.int32(total[x] + np.int32(np.int32(levels[x]) * by[x]))
    _levels(total, into)


@jit
def _rows(plane, out, place, weight, taps, columns, most):
    length = weight.shape[1]
    total = np.empty(columns, np.int32)
    for y in range(length):
        into = out[y, :columns]
        if taps == 2:
            near, far = plane[min(place[y], most), :columns], plane[min(place[y] + 1, most), :columns]
            one, other = np.int32(weight[0, y]), np.int32(weight[1, y])
            for x in range(into.shape[0]):
                level = np.int32(np.int32(np.int32(near[x]) * one) + np.int32(np.int32(far[x]) * other))
                level = np.int32(level + np.int32(1 << 21)) >> np.int32(22)
                into[x] = np.uint8(min(max(level, np.int32(0)), np.int32(255)))
            continue
        for x in range(columns):
            total[x] = 1 << 21
        for k in range(taps):
            by = np.int32(weight[k, y])
            if by != 0:
                line = plane[min(place[y] + k, most), :columns]
                for x in range(columns):
                    total[x] = np.int32(total[x] + np.int32(np.int32(line[x]) * by))
        _levels(total, into)


@jit
def _levels(total, into):
    for x in range(into.shape[0]):
        into[x] = np.uint8(min(max(total[x] >> np.int32(22), np.int32(0)), np.int32(255)))
