"""The numba back end's pixel kernels: one image at a time, all slots while it is in the cache.

Compiled on first use and cached on disk, which notices only edits of the file that a kernel stands in: hence one file.
No fast-math: products and sums round one after the other, as in PyTorch, and integers are exact, so that the result
equals the plain back end's to the bit.
"""

import numpy as np

from augury.augment.forms.blend import Degenerate
from augury.augment.forms.table import TableKind
from augury.core.jit import jit

WARP, TABLE, BLEND = 0, 1, 2  # positions in augury.augment.forms.lowered.FORMS
INVERT, SOLARIZE, SOLARIZE_ADD = int(TableKind.INVERT), int(TableKind.SOLARIZE), int(TableKind.SOLARIZE_ADD)
POSTERIZE, BRIGHTNESS, CONTRAST = int(TableKind.POSTERIZE), int(TableKind.BRIGHTNESS), int(TableKind.CONTRAST)
AUTO_CONTRAST, EQUALIZE = int(TableKind.AUTO_CONTRAST), int(TableKind.EQUALIZE)
CONTRAST_PIXEL_COUNT = int(TableKind.CONTRAST_PIXEL_COUNT)
GREY = int(Degenerate.GREY)


@jit
def pixels(images, out, size, form, matrix, bilinear, fill, recipe, value, degenerate, factor, start, stop):
    """Rows start..stop of uint8 [B,C,H,W] through the warps, tables and blends of all their slots, into `out`."""
    _, channels, height, width = images.shape
    buffers = np.empty((2, channels, height, width), np.uint8)
    lut = np.empty(256, np.uint8)
    for i in range(start, stop):
        last = -1
        for s in range(form.shape[1]):
            if _acts(form[i, s], recipe, i, s):
                last = s
        source = images[i]
        if last < 0:
            _copy(source.reshape(-1), out[i].reshape(-1))
        rows, columns = size[i, 0], size[i, 1]
        turn = 0
        for s in range(last + 1):
            kind = form[i, s]
            if not _acts(kind, recipe, i, s):
                continue
            target = out[i] if s == last else buffers[turn]
            if kind == WARP:
                edge = np.uint8(fill[i, s])
                if bilinear[i, s]:
                    _bilinear(source, target, matrix[i, s], edge, rows, columns)
                elif matrix[i, s, 1] == 0 and matrix[i, s, 3] == 0:
                    _straight(source, target, matrix[i, s], edge, rows, columns)
                else:
                    _general(source, target, matrix[i, s], edge, rows, columns)
            elif kind == TABLE:
                _table(source, target, lut, recipe[i, s], value[i, s], rows, columns)
            elif degenerate[i, s] == GREY:
                _color(source, target, factor[i, s])
            else:
                _sharpness(source, target, factor[i, s], rows, columns)
            source = target
            turn = 1 - turn


@jit
def _acts(kind, recipe, i, s):
    return kind in (WARP, BLEND) or (kind == TABLE and recipe[i, s] != 0)


@jit
def _copy(source, target):
    """One stretch of memory; loops from 0 over slices are what the compiler turns into wide moves."""
    for k in range(target.shape[0]):
        target[k] = source[k]


@jit
def _fixed(v):
    return np.int64(np.floor(v * 65536.0 + 0.5))


@jit
def _general(source, target, m, edge, rows, columns):
    """Nearest neighbour in 16.16 fixed point; a shear along x is one shift per row."""
    channels, height, width = source.shape
    start_x = _fixed(m[2] + m[0] * 0.5 + m[1] * 0.5)
    start_y = _fixed(m[5] + m[3] * 0.5 + m[4] * 0.5)
    a, b, d, e = _fixed(m[0]), _fixed(m[1]), _fixed(m[3]), _fixed(m[4])
    if d == 0 and a == 65536:
        for y in range(height):
            _shifted_row(source, target, y, (start_y + y * e) >> 16, (start_x + y * b) >> 16, edge, rows, columns)
        return
    furthest = max(abs(start_x) + abs(a) * width + abs(b) * height, abs(start_y) + abs(d) * width + abs(e) * height)
    index, ends = np.empty((height, width), np.int32), np.empty((height, 2), np.int64)
    for y in range(height):
        fx, fy, line = start_x + y * b, start_y + y * e, index[y]
        if furthest < 2147483648:
            _indices(line, np.int32(fx), np.int32(fy), np.int32(a), np.int32(d), np.int32(rows), np.int32(columns))
        else:
            _far_indices(line, fx, fy, a, d, rows, columns)
        ends[y, 0], ends[y, 1] = _inside(line)
    for c in range(channels):  # one after another, because a turned row reaches over many of a plane's lines
        plane = source[c].reshape(-1)
        for y in range(height):
            _gathered(plane, target[c, y], index[y], ends[y, 0], ends[y, 1], edge)


@jit
def _indices(index, fx, fy, a, d, rows, columns):
    """Where the pixels of one row are read in a plane, -1 outside; 32 bits throughout, twice as many at a time."""
    width, shift = np.int32(index.shape[0]), np.int32(16)
    for x in range(index.shape[0]):
        column = np.int32(fx + np.int32(np.int32(x) * a)) >> shift
        row = np.int32(fy + np.int32(np.int32(x) * d)) >> shift
        good = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        index[x] = np.int32(np.int32(row * width) + column) if good else np.int32(-1)


@jit
def _far_indices(index, fx, fy, a, d, rows, columns):
    """As above, for positions beyond 32 bits."""
    for x in range(index.shape[0]):
        column, row = (fx + x * a) >> 16, (fy + x * d) >> 16
        good = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        index[x] = row * index.shape[0] + column if good else -1


@jit
def _inside(index):
    """From where to where a row reads the image: one stretch, since its source is a straight line through a rectangle."""
    low, high = 0, index.shape[0]
    while low < high and index[low] < 0:
        low += 1
    while high > low and index[high - 1] < 0:
        high -= 1
    return low, high


@jit
def _gathered(plane, line, index, low, high, edge):
    """One row: read from low to high, `edge` beside it."""
    line[:low] = edge
    line[high:] = edge
    chosen, into = index[low:high], line[low:high]
    for x in range(into.shape[0]):
        into[x] = plane[np.uint32(chosen[x])]


@jit
def _shifted_row(source, target, y, row, shift, edge, rows, columns):
    channels, _, width = source.shape
    if row < 0 or row >= rows:
        target[:, y, :] = edge
        return
    low = min(max(-shift, 0), width)
    high = max(min(columns - shift, width), low)
    for c in range(channels):
        into = target[c, y]
        into[:low] = edge
        into[high:] = edge
        _copy(source[c, row, low + shift : high + shift], into[low:high])


@jit
def _shifted(source, target, shift, down, edge, rows, columns):
    """A move by whole pixels: each channel's memory is copied at one offset, then the border is painted."""
    channels, height, width = source.shape
    top, bottom = min(max(-down, 0), height), max(min(rows - down, height), 0)
    left, right = min(max(-shift, 0), width), max(min(columns - shift, width), 0)
    if bottom <= top or right <= left:
        target[:] = edge
        return
    offset = down * width + shift
    first, last = top * width + left, (bottom - 1) * width + right
    for c in range(channels):
        into = target[c]
        flat = into.reshape(-1)
        flat[:first] = edge
        flat[last:] = edge
        _copy(source[c].reshape(-1)[first + offset : last + offset], flat[first:last])
        for y in range(top, bottom):
            for x in range(left):
                into[y, x] = edge
            for x in range(right, width):
                into[y, x] = edge


@jit
def _straight(source, target, m, edge, rows, columns):
    """Nearest neighbour without rotation or shear: one table per axis, summed step by step as Pillow does."""
    channels, height, width = source.shape
    if m[0] == 1.0 and m[4] == 1.0 and m[2] == np.floor(m[2]) and m[5] == np.floor(m[5]):
        _shifted(source, target, np.int64(m[2]), np.int64(m[5]), edge, rows, columns)
        return
    if m[0] == -1.0 and m[2] == columns and m[4] == 1.0 and m[5] == 0.0:
        _mirrored(source, target, edge, rows, columns)
        return
    index = np.empty(width, np.int32)
    low, high = width, 0
    position = m[2] + m[0] * 0.5
    for x in range(width):
        k = np.floor(position)
        if k >= 0 and k < columns:
            index[x] = np.int32(k)
            low = min(low, x)
            high = x + 1
        position += m[0]
    position = m[5] + m[4] * 0.5
    for y in range(height):
        k = np.floor(position)
        position += m[4]
        if k >= 0 and k < rows:
            for c in range(channels):
                _gathered(source[c, np.int64(k)], target[c, y], index, min(low, high), high, edge)
        else:
            target[:, y, :] = edge


@jit
def _mirrored(source, target, edge, rows, columns):
    channels, height, _ = source.shape
    last, one = np.uint64(columns), np.uint64(1)  # unsigned: where an index may be negative, numba moves bytes one by one
    for c in range(channels):
        for y in range(rows):
            line, into = source[c, y], target[c, y]
            for x in range(columns):
                into[x] = line[last - one - np.uint64(x)]
            into[columns:] = edge
        target[c, rows:] = edge


@jit
def _bilinear(source, target, m, edge, rows, columns):
    """Row by row: where the four neighbours lie, then per channel their levels, then the sums, each of them many at a time."""
    channels, height, width = source.shape
    places, shares = np.empty((4, width), np.int32), np.empty((2, width), np.float64)
    levels = np.empty((4, width), np.uint8)
    for y in range(height):
        _neighbours(places, shares, m, y + 0.5, rows, columns)
        low, high = _inside(places[0])
        for c in range(channels):
            plane, line = source[c].reshape(-1), target[c, y]
            line[:low] = edge
            line[high:] = edge
            for k in range(4):
                chosen, read = places[k, low:high], levels[k, low:high]
                for x in range(read.shape[0]):
                    read[x] = plane[np.uint32(chosen[x])]
            dx, dy, into = shares[0, low:high], shares[1, low:high], line[low:high]
            near, far, below, beyond = levels[0, low:high], levels[1, low:high], levels[2, low:high], levels[3, low:high]
            for x in range(into.shape[0]):
                upper, lower = np.float64(near[x]), np.float64(below[x])
                upper = upper + (np.float64(far[x]) - upper) * dx[x]
                lower = lower + (np.float64(beyond[x]) - lower) * dx[x]
                into[x] = np.uint8(upper + (lower - upper) * dy[x])


@jit
def _neighbours(places, shares, m, yy, rows, columns):
    """Per pixel of a row the places of its four neighbours in a plane (the first -1 outside) and their shares."""
    width = np.int32(places.shape[1])
    right, bottom = np.int32(columns - 1), np.int32(rows - 1)
    for x in range(places.shape[1]):
        xx = x + 0.5
        u = m[0] * xx + m[1] * yy + m[2]
        v = m[3] * xx + m[4] * yy + m[5]
        good = (u >= 0) & (u < columns) & (v >= 0) & (v < rows)
        u = (u if good else 0.5) - 0.5
        v = (v if good else 0.5) - 0.5
        left, top = np.floor(u), np.floor(v)
        shares[0, x], shares[1, x] = u - left, v - top
        x0, y0 = np.int32(left), np.int32(top)
        x1, y1 = min(np.int32(x0 + np.int32(1)), right), min(np.int32(y0 + np.int32(1)), bottom)
        first, second = np.int32(max(y0, np.int32(0)) * width), np.int32(y1 * width)
        x0 = max(x0, np.int32(0))
        places[0, x] = np.int32(first + x0) if good else np.int32(-1)
        places[1, x], places[2, x], places[3, x] = first + x1, second + x0, second + x1


@jit
def _blended(degenerate, level, f):
    """Pillow's blend in float32: clipped, then truncated."""
    mixed = (level - degenerate) * f + degenerate
    return np.uint8(min(max(mixed, np.float32(0)), np.float32(255)))


@jit
def _grey(red, green, blue):
    return (np.int32(red) * 19595 + np.int32(green) * 38470 + np.int32(blue) * 7471 + 0x8000) >> 16


@jit
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
            _looked_up(source[c].reshape(-1), target[c].reshape(-1), lut)
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
        _looked_up(flat, into, lut)
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


@jit
def _looked_up(flat, into, lut):
    for k in range(into.shape[0]):
        into[k] = lut[flat[k]]


@jit
def _solarize(flat, into, threshold):
    if threshold == 256:
        _copy(flat, into)
        return
    limit = np.uint8(threshold)
    for k in range(into.shape[0]):
        level = flat[k]
        into[k] = level if level < limit else np.uint8(255) - level


@jit
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


@jit
def _stretch(plane, lut, rows, columns):
    low, high = np.uint8(255), np.uint8(0)
    for y in range(rows):
        line = plane[y, :columns]
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


@jit
def _equalize(plane, lut, rows, columns):
    counts = np.zeros((4, 256), np.int32)  # four, so that equal neighbours do not wait for each other's increment
    for y in range(rows):
        line = plane[y, :columns]
        whole = columns // 4
        for x in range(whole):
            counts[0, line[4 * x]] += 1
            counts[1, line[4 * x + 1]] += 1
            counts[2, line[4 * x + 2]] += 1
            counts[3, line[4 * x + 3]] += 1
        for x in range(4 * whole, columns):
            counts[0, line[x]] += 1
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


@jit
def _color(source, target, f):
    if source.shape[0] == 1:
        _copy(source.reshape(-1), target.reshape(-1))
        return
    flat, into = source.reshape(3, -1), target.reshape(3, -1)
    grey = np.empty(2048, np.uint8)
    for start in range(0, flat.shape[1], grey.shape[0]):
        here = flat[:, start : start + grey.shape[0]]
        red, green, blue, count = here[0], here[1], here[2], here.shape[1]
        for k in range(count):
            grey[k] = _grey(red[k], green[k], blue[k])
        for c in range(3):
            _blend(grey, here[c], into[c, start : start + count], f)


@jit
def _blend(degenerate, levels, into, f):
    for k in range(into.shape[0]):
        into[k] = _blended(np.float32(degenerate[k]), np.float32(levels[k]), f)


@jit
def _sharpness(source, target, f, rows, columns):
    _copy(source.reshape(-1), target.reshape(-1))
    if rows < 3 or columns < 3:
        return
    count = columns - 2
    column = np.empty(columns, np.uint16)
    smooth = np.empty(count, np.uint8)
    for c in range(source.shape[0]):
        for y in range(1, rows - 1):
            above, line, below = source[c, y - 1, :columns], source[c, y, :columns], source[c, y + 1, :columns]
            for x in range(columns):
                column[x] = np.uint16(above[x]) + np.uint16(line[x]) + np.uint16(below[x])
            left, middle, right, centre = column[:count], column[1 : count + 1], column[2:], line[1 : count + 1]
            for x in range(count):
                outer = np.uint16(left[x] + middle[x]) + np.uint16(right[x] + np.uint16(6))
                box = np.uint16(outer + np.uint16(np.uint16(centre[x]) << np.uint16(2)))
                smooth[x] = (np.uint32(box) * np.uint32(5042)) >> np.uint32(16)  # // 13 for all boxes up to 3321
            _blend(smooth, centre, target[c, y, 1 : count + 1], f)
