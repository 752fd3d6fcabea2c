"""The numba back end's tables and blends: a recipe by arithmetic, many levels at a time, where it needs no table."""

import numpy as np

from augury.augment.forms.numba_vector import looked_up
from augury.augment.forms.table import Recipe
from augury.core.jit import leaf

INVERT, SOLARIZE, SOLARIZE_ADD = int(Recipe.INVERT), int(Recipe.SOLARIZE), int(Recipe.SOLARIZE_ADD)
POSTERIZE, BRIGHTNESS, CONTRAST = int(Recipe.POSTERIZE), int(Recipe.BRIGHTNESS), int(Recipe.CONTRAST)
AUTO_CONTRAST, EQUALIZE = int(Recipe.AUTO_CONTRAST), int(Recipe.EQUALIZE)
CONTRAST_PIXEL_COUNT = int(Recipe.CONTRAST_PIXEL_COUNT)


@leaf
def table(source, target, recipe, value, rows, columns, space):
    """Every level of uint8 [C,H,W] as the recipe has it; statistics are of the valid `rows` and `columns`."""
    lut = space.table
    flat, into = source.reshape(-1), target.reshape(-1)
    count = flat.shape[0]
    if recipe in (AUTO_CONTRAST, EQUALIZE):
        for c in range(source.shape[0]):
            if recipe == EQUALIZE:
                _equalize(source[c], lut, space.counts, rows, columns)
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
        for k in range(count):
            into[k] = _blended(degenerate, np.float32(flat[k]), f)


@leaf
def _solarize(flat, into, threshold):
    if threshold == 256:
        _copy(flat, into)
        return
    limit = np.uint8(threshold)
    for k in range(into.shape[0]):
        level = flat[k]
        into[k] = level if level < limit else np.uint8(255) - level


@leaf
def _mean_grey(source, rows, columns):
    total = np.int64(0)
    for y in range(rows):
        if source.shape[0] == 3:
            total += _grey_sum(source[0, y, :columns], source[1, y, :columns], source[2, y, :columns])
        else:
            total += _sum(source[0, y, :columns])
    return np.float32(np.floor(total / max(rows * columns, 1) + 0.5))


@leaf
def _grey_sum(red, green, blue):
    part = np.int32(0)
    for x in range(red.shape[0]):
        part += _grey(red[x], green[x], blue[x])
    return np.int64(part)


@leaf
def _sum(line):
    part = np.int32(0)
    for x in range(line.shape[0]):
        part += np.int32(line[x])
    return np.int64(part)


@leaf
def _stretch(plane, lut, rows, columns):
    low, high = np.uint8(255), np.uint8(0)
    if columns == plane.shape[1]:
        low, high = _ends(plane[:rows].reshape(-1), low, high)
    else:
        for y in range(rows):
            low, high = _ends(plane[y, :columns], low, high)
    if low >= high:
        for k in range(256):
            lut[k] = k
        return
    scale = 255.0 / np.float64(high - low)
    offset = -np.float64(low) * scale
    for k in range(256):
        lut[k] = np.uint8(min(max(k * scale + offset, 0.0), 255.0))


@leaf
def _ends(levels, low, high):
    for k in range(levels.shape[0]):
        low = min(low, levels[k])
        high = max(high, levels[k])
    return low, high


@leaf
def _equalize(plane, lut, counts, rows, columns):
    for k in range(256):
        for part in range(4):
            counts[part, k] = 0
    if columns == plane.shape[1]:
        _count(plane[:rows].reshape(-1), counts)
    else:
        for y in range(rows):
            _count(plane[y, :columns], counts)
    last = 0
    for k in range(256):
        counts[0, k] += counts[1, k] + counts[2, k] + counts[3, k]
        if counts[0, k] > 0:
            last = k
    step = (rows * columns - counts[0, last]) // 255
    if step == 0:
        for k in range(256):
            lut[k] = k
        return
    before = np.int32(step // 2)
    for k in range(256):
        counts[1, k] = before
        before += counts[0, k]
    divisor = np.float64(step)
    for k in range(256):  # exact: a quotient of integers this small is never rounded up to the next integer
        lut[k] = np.uint8(min(counts[1, k] / divisor, 255.0))


@leaf
def _count(levels, counts):
    """Into four, so that equal neighbours do not wait for each other's increment."""
    whole = levels.shape[0] // 4 * 4
    for x in range(0, whole, 4):
        counts[0, levels[x]] += 1
        counts[1, levels[x + 1]] += 1
        counts[2, levels[x + 2]] += 1
        counts[3, levels[x + 3]] += 1
    for x in range(whole, levels.shape[0]):
        counts[0, levels[x]] += 1


@leaf
def color(source, target, f, space):
    """Pillow's blend with the image's own grey, some pixels at a time."""
    if source.shape[0] == 1:
        _copy(source.reshape(-1), target.reshape(-1))
        return
    red, green, blue = source[0].reshape(-1), source[1].reshape(-1), source[2].reshape(-1)
    most = space.levels.shape[1]
    for start in range(0, red.shape[0], most):
        stop = min(start + most, red.shape[0])
        grey = space.levels[0, : stop - start]
        _greys(red[start:stop], green[start:stop], blue[start:stop], grey)
        for c in range(3):
            _blend(grey, source[c].reshape(-1)[start:stop], target[c].reshape(-1)[start:stop], f)


@leaf
def _greys(red, green, blue, grey):
    for k in range(grey.shape[0]):
        grey[k] = _grey(red[k], green[k], blue[k])


@leaf
def _blend(degenerate, levels, into, f):
    for k in range(into.shape[0]):
        into[k] = _blended(np.float32(degenerate[k]), np.float32(levels[k]), f)


@leaf
def _blended(degenerate, level, f):
    """Pillow's blend in float32: clipped, then truncated."""
    mixed = (level - degenerate) * f + degenerate
    return np.uint8(min(max(mixed, np.float32(0)), np.float32(255)))


@leaf
def _grey(red, green, blue):
    return (np.int32(red) * 19595 + np.int32(green) * 38470 + np.int32(blue) * 7471 + 0x8000) >> 16


@leaf
def sharpness(source, target, f, rows, columns, space):
    """Pillow's blend with the smoothed image, whose border is the image's own."""
    _copy(source.reshape(-1), target.reshape(-1))
    if rows < 3 or columns < 3:
        return
    column, smooth = space.sums[:columns], space.levels[0, : columns - 2]
    for c in range(source.shape[0]):
        for y in range(1, rows - 1):
            _three(source[c, y - 1, :columns], source[c, y, :columns], source[c, y + 1, :columns], column)
            centre = source[c, y, 1 : columns - 1]
            _smoothed(column, centre, smooth)
            _blend(smooth, centre, target[c, y, 1 : columns - 1], f)


@leaf
def _three(above, line, below, column):
    for x in range(column.shape[0]):
        column[x] = np.uint16(above[x]) + np.uint16(line[x]) + np.uint16(below[x])


@leaf
def _smoothed(column, centre, smooth):
    count = smooth.shape[0]
    left, middle, right = column[:count], column[1 : count + 1], column[2:]
    for x in range(count):
        outer = np.uint16(left[x] + middle[x]) + np.uint16(right[x] + np.uint16(6))
        box = np.uint16(outer + np.uint16(np.uint16(centre[x]) << np.uint16(2)))
        smooth[x] = (np.uint32(box) * np.uint32(5042)) >> np.uint32(16)  # // 13 for all boxes up to 3321


@leaf
def _copy(source, target):
    """One stretch of memory; loops from 0 over slices are what the compiler turns into wide moves."""
    for k in range(target.shape[0]):
        target[k] = source[k]
