"""The numba back end's resize of a window to the whole image: Pillow's two passes, only over rows that are read."""

import numpy as np

from augury.augment.forms.numba_parts import copied
from augury.augment.forms.numba_wide import STEP, permuted
from augury.augment.forms.separable import Kernel
from augury.core.jit import inlined, jit, leaf

CUBIC = int(Kernel.CUBIC)
TAPS = 4  # of one sum at most: a window is never larger than the image it fills
ONE = 1 << 22  # of the weights


@jit
def resize(images, out, kernel, window, size, start, stop):
    """Rows start..stop of uint8 [B,C,H,W] resized into `out`: their windows (float64 [B,4]: rows' start and end, columns' start
    and end) fill their valid `size`; copied where the kernel is 0."""
    _, channels, height, width = images.shape
    between = np.empty((channels, height, width), np.uint8)
    n = max(height, width) + 2 * STEP
    lines, share, levels = np.zeros((8, n), np.int32), np.empty(TAPS, np.float64), np.zeros((TAPS + 1, n), np.uint8)
    for i in range(start, stop):
        if kernel[i] == 0:
            copied(images[i].reshape(-1), out[i].reshape(-1))
        else:
            _resized(images[i], out[i], between, kernel[i], window[i], size[i, 0], size[i, 1], lines, share, levels)


@leaf
def _resized(source, target, between, kernel, window, rows, columns, lines, share, levels):
    """A window (float64 [4]: rows' start and end, columns' start and end) of uint8 [C,H,W] fills the valid `rows` and `columns`.

    What lies outside the valid size is copied.
    """
    channels, height, width = source.shape
    place, weight, index, start = lines[0], lines[1 : 1 + TAPS], levels[TAPS], lines[6]
    first, last = np.int64(window[0]), np.int64(window[1])
    used = _weights(kernel, window[2], window[3], columns, place, weight, share)
    simple = _simple(weight, used, columns)
    for x in range(columns):
        if x % STEP == 0:
            start[x // STEP] = place[x]
        index[x] = np.uint8(place[x] - start[x // STEP])
    for c in range(channels):
        plane, out = source[c].reshape(-1), between[c]
        for y in range(first, last):
            for k in range(used):
                permuted(plane, y * width + k, start, index, levels[k], columns)
            if simple:  # nearly always: bilinear
                _between(levels[0], levels[1], weight[1], out[y, :columns])
            else:
                _several(levels, weight, used, lines[7], out[y, :columns])
    used = _weights(kernel, window[0], window[1], rows, place, weight, share)
    simple = _simple(weight, used, rows)
    for c in range(channels):
        for y in range(rows):
            into, at = target[c, y, :columns], place[y]
            if simple:
                _between_rows(between[c, at, :columns], between[c, min(at + 1, height - 1), :columns], weight[1, y], into)
            else:
                _several_rows(between[c], at, weight, y, used, lines[7], into)
    if rows < height or columns < width:
        for c in range(channels):
            for y in range(height):
                for x in range(columns if y < rows else 0, width):
                    target[c, y, x] = source[c, y, x]


@leaf
def _weights(kernel, start, end, length, place, weight, share):
    """place int32 [length]: where the sum of each result begins; weight int32 [TAPS,length], as augury.augment.forms.separable
    makes them. Returns how many of the taps count."""
    scale = (end - start) / max(length, 1)
    stretch = max(scale, 1.0)
    support = 2.0 * stretch if kernel == CUBIC else stretch
    used = 1
    for x in range(length):
        centre = start + (x + 0.5) * scale
        first = max(np.floor(centre - support + 0.5), start)
        last = min(np.floor(centre + support + 0.5), end)
        total = 0.0
        for k in range(TAPS):
            position = first + k
            distance = abs(position - centre + 0.5)
            distance = distance if stretch == 1.0 else distance / stretch
            shape = _cubic(distance) if kernel == CUBIC else max(1.0 - distance, 0.0)
            share[k] = shape if position < last else 0.0
            total += share[k]
        total = 1.0 if total == 0.0 else total
        place[x] = np.int32(first)
        for k in range(TAPS):
            weight[k, x] = 0
            if share[k] != 0.0:  # the divisions are what takes time here
                part = share[k] / total * float(ONE)
                weight[k, x] = np.int32(np.trunc(part + (-0.5 if part < 0 else 0.5)))
            if weight[k, x] != 0:
                used = max(used, k + 1)
    return used


@leaf
def _cubic(x):
    if x < 1:
        return ((-0.5 + 2.0) * x - (-0.5 + 3.0)) * x * x + 1.0
    if x < 2:
        return (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5
    return 0.0


@leaf
def _level(total):
    return np.uint8(min(max(np.int32(total + np.int32(1 << 21)) >> np.int32(22), np.int32(0)), np.int32(255)))


@leaf
def _simple(weight, used, length):
    """Whether every result lies between two levels: their weights add up to one, which rounding each of them may miss by a bit."""
    simple = used <= 2
    for x in range(length):
        simple = simple and weight[0, x] + weight[1, x] == ONE and 0 <= weight[1, x] <= ONE
    return simple


@inlined
def _step(near, far, weight):
    """near * (ONE - weight) + far * weight, rounded, by one product."""
    first = np.int32(near)
    total = np.int32(np.int32(np.int32(far) - first) * weight) + np.int32(ONE // 2)
    return np.uint8(first + (np.int32(total) >> np.int32(22)))


@inlined
def _between(near, far, weight, into):
    for x in range(into.shape[0]):
        into[x] = _step(near[x], far[x], weight[x])


@inlined
def _between_rows(near, far, weight, into):
    for x in range(into.shape[0]):
        into[x] = _step(near[x], far[x], weight)


@leaf
def _several(levels, weight, used, total, into):
    count = into.shape[0]
    for x in range(count):
        total[x] = 0
    for k in range(used):
        read, by = levels[k, :count], weight[k]
        for x in range(count):
            total[x] = np.int32(total[x] + np.int32(np.int32(read[x]) * by[x]))
    for x in range(count):
        into[x] = _level(total[x])


@leaf
def _several_rows(plane, at, weight, y, used, total, into):
    count = into.shape[0]
    for x in range(count):
        total[x] = 0
    for k in range(used):
        read, by = plane[min(at + k, plane.shape[0] - 1)], weight[k, y]
        for x in range(count):
            total[x] = np.int32(total[x] + np.int32(np.int32(read[x]) * by))
    for x in range(count):
        into[x] = _level(total[x])
