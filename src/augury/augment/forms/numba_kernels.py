"""The numba back end's pixel kernel: one image at a time through warps, tables and blends, all slots while it is in the cache.

Compiled on first use and cached on disk. No fast-math: products and sums round one after the other, as in PyTorch, and integers
are exact, so that the result equals the plain back end's to the bit.
"""

import numpy as np

from augury.augment.forms.blend import Degenerate
from augury.augment.forms.numba_parts import copied
from augury.augment.forms.numba_warp import warp
from augury.augment.forms.numba_wide import looked_up
from augury.augment.forms.table import TableKind
from augury.core.jit import inlined, jit, leaf, merged, part

WARP, TABLE, BLEND = 0, 1, 2  # positions in augury.augment.forms.lowered.FORMS
INVERT, SOLARIZE, SOLARIZE_ADD = int(TableKind.INVERT), int(TableKind.SOLARIZE), int(TableKind.SOLARIZE_ADD)
POSTERIZE, BRIGHTNESS, CONTRAST = int(TableKind.POSTERIZE), int(TableKind.BRIGHTNESS), int(TableKind.CONTRAST)
AUTO_CONTRAST, EQUALIZE = int(TableKind.AUTO_CONTRAST), int(TableKind.EQUALIZE)
CONTRAST_PIXEL_COUNT = int(TableKind.CONTRAST_PIXEL_COUNT)
GREY = int(Degenerate.GREY)
EXACT = 1 << 24  # below it whole numbers are float32 numbers
BLOCK = 4096  # levels that pass through several loops while they are in the nearest cache


@jit
def pixels(images, out, size, form, matrix, bilinear, fill, recipe, value, degenerate, factor, base, start, stop):
    """Rows start..stop of uint8 [B,C,H,W] through the warps, tables and blends of all their slots, into `out`. The records of a row
    are those at base + row."""
    _, channels, height, width = images.shape
    buffers = np.empty((2, channels, height, width), np.uint8)
    lut = np.empty(256, np.uint8)
    packed = np.empty(height * width + 1, np.uint32)
    for row in range(start, stop):
        last, i = -1, base + row
        for s in range(form.shape[1]):
            if _acts(form[i, s], recipe, i, s):
                last = s
        source = images[row]
        if last < 0:
            copied(source.reshape(-1), out[row].reshape(-1))
        rows, columns = size[i, 0], size[i, 1]
        turn = 0
        for s in range(last + 1):
            kind = form[i, s]
            if not _acts(kind, recipe, i, s):
                continue
            target = out[row] if s == last else buffers[turn]
            if kind == WARP:
                warp(source, target, matrix[i, s], bilinear[i, s], np.uint8(fill[i, s]), rows, columns, packed)
            elif kind == TABLE:
                _table(source, target, lut, recipe[i, s], value[i, s], rows, columns)
            elif degenerate[i, s] == GREY:
                _color(source, target, factor[i, s])
            else:
                _sharpness(source, target, factor[i, s], rows, columns)
            source = target
            turn = 1 - turn


@merged
def _acts(kind, recipe, i, s):
    return kind in (WARP, BLEND) or (kind == TABLE and recipe[i, s] != 0)


@leaf
def _blended(degenerate, level, f):
    """Pillow's blend in float32: clipped, then truncated."""
    mixed = (level - degenerate) * f + degenerate
    return np.uint8(min(max(mixed, np.float32(0)), np.float32(255)))


@leaf
def _grey(red, green, blue):
    return (np.int32(red) * 19595 + np.int32(green) * 38470 + np.int32(blue) * 7471 + 0x8000) >> 16


@merged
def _table(source, target, lut, recipe, value, rows, columns):
    """A recipe by arithmetic, many levels at a time, where it needs no table."""
    flat, into = source.reshape(-1), target.reshape(-1)
    count = flat.shape[0]
    if recipe in (AUTO_CONTRAST, EQUALIZE):
        for c in range(source.shape[0]):
            if recipe == EQUALIZE:
                _equalize(source[c], lut, rows, columns)
            else:
                _stretch(source[c], lut, rows, columns)
            looked_up(source[c].reshape(-1), target[c].reshape(-1), lut)
    elif recipe == INVERT:
        for k in range(count):
            into[k] = 255 - flat[k]
    elif recipe == SOLARIZE:
        _solarize(flat, into, np.int64(np.ceil(min(max(value, 0.0), 256.0))))
    elif recipe == SOLARIZE_ADD and 0 <= value < 128:
        summand = np.uint8(value)
        for k in range(count):
            into[k] = flat[k] + (summand if flat[k] < 128 else np.uint8(0))
    elif recipe == SOLARIZE_ADD:
        summand = np.int64(value)
        for k in range(256):
            lut[k] = min(max(k + summand, 0), 255) if k < 128 else k
        looked_up(flat, into, lut)
    elif recipe == POSTERIZE:
        mask = np.uint8(256 - (1 << (8 - np.int64(value))))
        for k in range(count):
            into[k] = flat[k] & mask
    else:
        degenerate = np.float32(0)
        if recipe == CONTRAST:
            degenerate = _mean_grey(source, rows, columns)
        elif recipe == CONTRAST_PIXEL_COUNT:
            degenerate = np.float32(min(rows * columns // 256, 255))
        f = np.float32(value)
        for k in range(256):
            lut[k] = _blended(degenerate, np.float32(k), f)
        looked_up(flat, into, lut)


@leaf
def _solarize(flat, into, threshold):
    if threshold == 256:
        copied(flat, into)
        return
    limit = np.uint8(threshold)
    for k in range(into.shape[0]):
        level = flat[k]
        into[k] = level if level < limit else np.uint8(255) - level


@leaf
def _mean_grey(source, rows, columns):
    total = np.int64(0)
    for y in range(rows):
        part = np.int32(0)
        if source.shape[0] == 3:
            red, green, blue = source[0, y], source[1, y], source[2, y]
            for x in range(columns):
                part += _grey(red[x], green[x], blue[x])
        else:
            line = source[0, y]
            for x in range(columns):
                part += np.int32(line[x])
        total += part
    return np.float32(np.floor(total / max(rows * columns, 1) + 0.5))


@leaf
def _stretch(plane, lut, rows, columns):
    low, high = np.uint8(255), np.uint8(0)
    whole = rows == plane.shape[0] and columns == plane.shape[1]  # one long row, then
    for y in range(1 if whole else rows):
        line = plane.reshape(-1) if whole else plane[y, :columns]
        for x in range(line.shape[0]):
            low = min(low, line[x])
            high = max(high, line[x])
    if low >= high:
        for k in range(256):
            lut[k] = k
        return
    scale = 255.0 / np.float64(high - low)
    offset = -np.float64(low) * scale
    for k in range(256):
        lut[k] = np.uint8(min(max(k * scale + offset, 0.0), 255.0))


@part
def _equalize(plane, lut, rows, columns):
    several = np.zeros((4, 256), np.int32)  # so that equal neighbours do not wait for each other's increment
    counts, second, third, fourth = several[0], several[1], several[2], several[3]
    for y in range(rows):
        line = plane[y, :columns]
        whole = columns // 4
        for x in range(whole):
            counts[line[4 * x]] += 1
            second[line[4 * x + 1]] += 1
            third[line[4 * x + 2]] += 1
            fourth[line[4 * x + 3]] += 1
        for x in range(4 * whole, columns):
            counts[line[x]] += 1
    for k in range(256):
        counts[k] += second[k] + third[k] + fourth[k]
    last = 255
    while last > 0 and counts[last] == 0:
        last -= 1
    step = (rows * columns - counts[last]) // 255
    if step == 0:
        for k in range(256):
            lut[k] = k
        return
    before = np.int32(step // 2)
    for k in range(256):
        second[k] = before
        before += counts[k]
    if rows * columns < EXACT:
        divisor = np.float32(step)
        for k in range(256):  # exact: a quotient of integers this small is never rounded up to the next integer
            lut[k] = np.uint8(min(np.float32(second[k]) / divisor, np.float32(255)))
        return
    for k in range(256):
        lut[k] = min(second[k] // step, 255)


@part
def _color(source, target, f):
    if source.shape[0] == 1:
        copied(source.reshape(-1), target.reshape(-1))
        return
    flat, into = source.reshape(3, -1), target.reshape(3, -1)
    grey = np.empty(BLOCK, np.uint8)
    for start in range(0, flat.shape[1], grey.shape[0]):
        stop = min(start + grey.shape[0], flat.shape[1])
        red, green, blue = flat[0, start:stop], flat[1, start:stop], flat[2, start:stop]
        count = stop - start
        for k in range(count):
            grey[k] = _grey(red[k], green[k], blue[k])
        for c in range(3):
            _blend(grey, flat[c, start:stop], into[c, start:stop], f)


@inlined
def _blend(degenerate, levels, into, f):
    for k in range(into.shape[0]):
        into[k] = _blended(np.float32(degenerate[k]), np.float32(levels[k]), f)


@part
def _sharpness(source, target, f, rows, columns):
    """Rows are taken as one stretch, whose first and last columns are then copied: they have no neighbours on one side."""
    channels, height, width = source.shape
    if rows < 3 or columns < 3:
        copied(source.reshape(-1), target.reshape(-1))
        return
    column, smooth = np.empty(BLOCK + 2, np.uint16), np.empty(BLOCK, np.uint8)
    first, last = width + 1, (rows - 1) * width - 1
    for c in range(channels):
        plane, into = source[c].reshape(-1), target[c].reshape(-1)
        copied(plane[:width], into[:width])
        copied(plane[(rows - 1) * width :], into[(rows - 1) * width :])
        for start in range(first, last, BLOCK):
            stop = min(start + BLOCK, last)
            here = plane[start - 1 : stop + 1]
            _sums_of_three(plane[start - width - 1 :], here, plane[start + width - 1 :], column)
            _smoothed(column[: stop - start], column[1:], column[2:], here[1:], smooth)
            _blend(smooth, here[1:], into[start:stop], f)
        for y in range(1, rows - 1):
            into[y * width] = plane[y * width]
            for x in range(columns - 1, width):
                into[y * width + x] = plane[y * width + x]


@inlined
def _sums_of_three(above, line, below, into):
    for k in range(line.shape[0]):
        into[k] = np.uint16(above[k]) + np.uint16(line[k]) + np.uint16(below[k])


@inlined
def _smoothed(left, middle, right, centre, into):
    """Pillow's SMOOTH: ones around a five, divided by 13 and rounded."""
    for k in range(left.shape[0]):
        outer = np.uint16(left[k] + middle[k]) + np.uint16(right[k] + np.uint16(6))
        box = np.uint16(outer + np.uint16(np.uint16(centre[k]) << np.uint16(2)))
        into[k] = (np.uint32(box) * np.uint32(5042)) >> np.uint32(16)  # // 13 for all boxes up to 3321
