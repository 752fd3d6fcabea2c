"""The numba back end's resize of a window to the whole image: Pillow's two passes, only over rows that are read."""

import numpy as np

from augury.augment.forms.numba_between import ONE, across, arranged, down
from augury.augment.forms.numba_parts import copied
from augury.augment.forms.numba_wide import STEP, permuted
from augury.augment.forms.separable import Kernel
from augury.core.jit import inlined, jit, leaf

CUBIC = int(Kernel.CUBIC)
TAPS = 4  # of one sum at most: a window is never larger than the image it fills


@jit
def resize(images, out, kernel, window, size, start, stop):
    """Rows start..stop of uint8 [B,C,H,W] resized into `out`: their windows (float64 [B,4]: rows' start and end, columns' start
    and end) fill their valid `size`; copied where the kernel is 0."""
    _, _, height, width = images.shape
    stride = (width + STEP - 1) // STEP * STEP
    between, n = np.empty(height * stride, np.uint8), max(height, width) + 2 * STEP
    lines, share, levels = np.zeros((12, n), np.int32), np.empty(TAPS, np.float64), np.zeros((TAPS + 3, n), np.uint8)
    words = np.zeros((2, n), np.int16)
    for i in range(start, stop):
        if kernel[i] == 0:
            copied(images[i].reshape(-1), out[i].reshape(-1))
        else:
            _resized(images[i], out[i], between, stride, kernel[i], window[i], size[i, 0], size[i, 1], lines, share, levels, words)


@leaf
def _resized(source, target, between, stride, kernel, window, rows, columns, lines, share, levels, words):
    """A window (float64 [4]: rows' start and end, columns' start and end) of uint8 [C,H,W] fills the valid `rows` and `columns`.

    What lies outside the valid size is copied. between: uint8 [H * stride], a channel whose columns are done.
    """
    channels, height, width = source.shape
    flat, into = source.reshape(-1), target.reshape(-1)
    place, weight, row_place, row_weight = lines[0], lines[1 : 1 + TAPS], lines[5], lines[6 : 6 + TAPS]
    total, start, order = lines[10], lines[11], levels[TAPS + 1 :].reshape(-1)
    first, last = np.int64(window[0]), np.int64(window[1])
    used = _weights(kernel, window[2], window[3], columns, place, weight, share)
    simple = _simple(weight, used, columns)
    if simple:  # nearly always: bilinear
        arranged(place, weight[1], columns, words, order, start)
    else:
        _stepped(place, columns, start, levels[TAPS])
    row_used = _weights(kernel, window[0], window[1], rows, row_place, row_weight, share)
    row_simple = _simple(row_weight, row_used, rows)
    for c in range(channels):
        for y in range(first, last):
            begin, at = (c * height + y) * width, y * stride
            if simple:
                across(flat, begin, place, weight[1], columns, words, order, start, between, at)
            else:
                for k in range(used):
                    permuted(flat, begin + k, start, levels[TAPS], levels[k], columns)
                _several(levels, weight, used, total, between[at : at + columns])
        for y in range(rows):
            near, at = row_place[y], (c * height + y) * width
            if row_simple:
                down(between, near * stride, min(near + 1, height - 1) * stride, row_weight[1, y], into, at, columns)
            else:
                _several_rows(between, near, stride, row_weight, y, row_used, total, into[at : at + columns])
    if rows < height or columns < width:
        for c in range(channels):
            for y in range(height):
                for x in range(columns if y < rows else 0, width):
                    target[c, y, x] = source[c, y, x]


@leaf
def _stepped(place, count, start, index):
    """Places int32 [count] as `permuted` reads them: from where a step of them starts, and how far beyond."""
    for x in range(count):
        if x % STEP == 0:
            start[x // STEP] = place[x]
        index[x] = np.uint8(place[x] - start[x // STEP])


@leaf
def _weights(kernel, start, end, length, place, weight, share):
    """place int32 [length]: where the sum of each result begins; weight int32 [TAPS,length], as augury.augment.forms.separable
    makes them. Returns how many of the taps count."""
    scale = (end - start) / max(length, 1)
    if kernel != CUBIC and scale <= 1.0 and _bilinear(start, end, scale, length, place, weight):
        return 2
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


@inlined
def _bilinear(start, end, scale, length, place, weight):
    """The first two weights where no third counts, which it says, as the loop of `_weights` makes them: one after another without
    branches, so that several are divided at once."""
    first_weight, second_weight, thirds = weight[0, :length], weight[1, :length], np.int32(0)
    for x in range(first_weight.shape[0]):
        centre = start + (x + 0.5) * scale
        begin, stop = np.floor(centre - 1.0 + 0.5), np.floor(centre + 1.0 + 0.5)
        begin, stop = start if begin < start else begin, end if stop > end else stop
        one, two = _share(begin, stop, centre), _share(begin + 1.0, stop, centre)
        thirds |= np.int32(_share(begin + 2.0, stop, centre) != 0.0)
        total = one + two
        total = 1.0 if total == 0.0 else total
        place[x] = np.int32(begin)
        first_weight[x], second_weight[x] = np.int32(one / total * float(ONE) + 0.5), np.int32(two / total * float(ONE) + 0.5)
    return thirds == 0


@inlined
def _share(position, stop, centre):
    shape = 1.0 - abs(position - centre + 0.5)
    return shape if position < stop and shape > 0.0 else 0.0


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
def _several_rows(between, at, stride, weight, y, used, total, into):
    count, last = into.shape[0], between.shape[0] // stride - 1
    for x in range(count):
        total[x] = 0
    for k in range(used):
        begin, by = min(at + k, last) * stride, weight[k, y]
        read = between[begin : begin + count]
        for x in range(count):
            total[x] = np.int32(total[x] + np.int32(np.int32(read[x]) * by))
    for x in range(count):
        into[x] = _level(total[x])
