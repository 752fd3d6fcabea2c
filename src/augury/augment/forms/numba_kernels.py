"""The kernels of the numba back end: one image at a time, every slot while it is in the cache.

Compiled on first use and cached on disk, which notices only edits of the file that a kernel stands in: hence one file.
No fast-math: products and sums round one after the other, as in PyTorch, and integers are exact, so that the result
equals the plain back end's to the bit.
"""

import numpy as np
from numba import njit

from augury.augment.forms.blend import Degenerate
from augury.augment.forms.region import Content
from augury.augment.forms.table import Recipe
from augury.core.hash_numba import GOLDEN, mixed

WARP, TABLE, BLEND = 0, 1, 2  # positions in augury.augment.lowering.FORMS
INVERT, SOLARIZE, SOLARIZE_ADD = int(Recipe.INVERT), int(Recipe.SOLARIZE), int(Recipe.SOLARIZE_ADD)
POSTERIZE, BRIGHTNESS, CONTRAST = int(Recipe.POSTERIZE), int(Recipe.BRIGHTNESS), int(Recipe.CONTRAST)
AUTO_CONTRAST, EQUALIZE = int(Recipe.AUTO_CONTRAST), int(Recipe.EQUALIZE)
CONTRAST_PIXEL_COUNT = int(Recipe.CONTRAST_PIXEL_COUNT)
GREY = int(Degenerate.GREY)
CONSTANT, PARTNER, NOISE, GRID = int(Content.CONSTANT), int(Content.PARTNER), int(Content.NOISE), int(Content.GRID)

jit = njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")


@jit
def pixels(images, out, size, form, matrix, bilinear, fill, recipe, value, degenerate, factor, start, stop):
    """Rows start..stop of uint8 [B,C,H,W] through the warps, tables and blends of all their slots, into `out`."""
    _, channels, height, width = images.shape
    buffers = np.empty((2, channels, height, width), np.uint8)
    lut = np.empty((channels, 256), np.uint8)
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
    count = height * width
    index = np.empty((height, width), np.uint32)
    for y in range(height):
        fx, fy, line = start_x + y * b, start_y + y * e, index[y]
        for x in range(width):
            column, row = (fx + x * a) >> 16, (fy + x * d) >> 16
            good = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
            line[x] = row * width + column if good else count
    plane = np.empty(count + 1, np.uint8)  # the last entry stands for everything outside
    plane[count] = edge
    flat = index.reshape(-1)
    for c in range(channels):
        _copy(source[c].reshape(-1), plane[:count])
        into = target[c].reshape(-1)
        for k in range(count):
            into[k] = plane[flat[k]]


@jit
def _gathered(plane, line, index, low, high, edge):
    """One row: what lies inside is one stretch, since its source is a straight line through a rectangle."""
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
    for y in range(height):
        for c in range(channels):
            if y < rows:
                _copy(source[c, y, :columns][::-1], target[c, y, :columns])
                target[c, y, columns:] = edge
            else:
                target[c, y] = edge


@jit
def _bilinear(source, target, m, edge, rows, columns):
    channels, height, width = source.shape
    for y in range(height):
        yy = y + 0.5
        for x in range(width):
            xx = x + 0.5
            u = m[0] * xx + m[1] * yy + m[2]
            v = m[3] * xx + m[4] * yy + m[5]
            if not (u >= 0 and u < columns and v >= 0 and v < rows):
                for c in range(channels):
                    target[c, y, x] = edge
                continue
            u -= 0.5
            v -= 0.5
            left, top = np.floor(u), np.floor(v)
            dx, dy = u - left, v - top
            x0 = min(max(np.int64(left), 0), columns - 1)
            x1 = min(max(np.int64(left) + 1, 0), columns - 1)
            y0 = min(max(np.int64(top), 0), rows - 1)
            y1 = min(max(np.int64(top) + 1, 0), rows - 1)
            for c in range(channels):
                upper, lower = np.float64(source[c, y0, x0]), np.float64(source[c, y1, x0])
                upper = upper + (np.float64(source[c, y0, x1]) - upper) * dx
                lower = lower + (np.float64(source[c, y1, x1]) - lower) * dx
                target[c, y, x] = np.uint8(upper + (lower - upper) * dy)


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
    channels = source.shape[0]
    flat, into = source.reshape(channels, -1), target.reshape(channels, -1)
    count = flat.shape[1]
    if recipe == INVERT:
        for c in range(channels):
            for k in range(count):
                into[c, k] = 255 - flat[c, k]
        return
    if recipe == AUTO_CONTRAST:
        for c in range(channels):
            _stretch(source[c], lut[c], rows, columns)
    elif recipe == EQUALIZE:
        for c in range(channels):
            _equalize(source[c], lut[c], rows, columns)
    else:
        _shared(source, lut[0], recipe, value, rows, columns)
    own = recipe in (AUTO_CONTRAST, EQUALIZE)
    for c in range(channels):
        entries = lut[c] if own else lut[0]
        for k in range(count):
            into[c, k] = entries[flat[c, k]]


@jit
def _shared(source, lut, recipe, value, rows, columns):
    """The table of a recipe that treats all channels alike."""
    if recipe == SOLARIZE:
        for k in range(256):
            lut[k] = k if k < value else 255 - k
    elif recipe == SOLARIZE_ADD:
        summand = np.int64(value)
        for k in range(256):
            lut[k] = min(max(k + summand, 0), 255) if k < 128 else k
    elif recipe == POSTERIZE:
        mask = 256 - (1 << (8 - np.int64(value)))
        for k in range(256):
            lut[k] = k & mask
    else:
        degenerate = np.float32(0)
        if recipe == CONTRAST:
            degenerate = _mean_grey(source, rows, columns)
        elif recipe == CONTRAST_PIXEL_COUNT:
            degenerate = np.float32(min(rows * columns // 256, 255))
        f = np.float32(value)
        for k in range(256):
            lut[k] = _blended(degenerate, np.float32(k), f)


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
    channels = source.shape[0]
    flat, into = source.reshape(channels, -1), target.reshape(channels, -1)
    if channels == 1:
        for k in range(flat.shape[1]):
            level = np.float32(flat[0, k])
            into[0, k] = _blended(level, level, f)
        return
    red, green, blue = flat[0], flat[1], flat[2]
    for k in range(flat.shape[1]):
        level = np.float32(_grey(red[k], green[k], blue[k]))
        into[0, k] = _blended(level, np.float32(red[k]), f)
        into[1, k] = _blended(level, np.float32(green[k]), f)
        into[2, k] = _blended(level, np.float32(blue[k]), f)


@jit
def _sharpness(source, target, f, rows, columns):
    _copy(source.reshape(-1), target.reshape(-1))
    if rows < 3 or columns < 3:
        return
    count = columns - 2
    column = np.empty(columns, np.float32)  # small integers, exact in float32, which compiles to wider code than integers
    for c in range(source.shape[0]):
        for y in range(1, rows - 1):
            above, line, below = source[c, y - 1, :columns], source[c, y, :columns], source[c, y + 1, :columns]
            for x in range(columns):
                column[x] = np.float32(above[x]) + np.float32(line[x]) + np.float32(below[x])
            left, middle, right = column[:count], column[1 : count + 1], column[2:]
            centre, into = line[1 : count + 1], target[c, y, 1 : count + 1]
            for x in range(count):
                level = np.float32(centre[x])
                box = left[x] + middle[x] + right[x] + np.float32(4) * level
                # // 13 for all sums up to 3321: the product stays below 2^24.
                smooth = np.floor((box + np.float32(6)) * np.float32(5042) * np.float32(2.0**-16))
                into[x] = _blended(smooth, level, f)


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


@jit
def _level(total):
    return np.uint8(min(max(total >> 22, 0), 255))


@jit
def _reach(weight):
    """How many of the weights count: the rest are zeros."""
    last = weight.shape[0]
    while last > 0 and weight[last - 1] == 0:
        last -= 1
    return last


@jit
def weighted_columns(images, out, position, weight, start, stop):
    _, channels, height, width = images.shape
    for i in range(start, stop):
        for x in range(out.shape[3]):
            reach = _reach(weight[i, x])
            for c in range(channels):
                for y in range(height):
                    total = np.int64(1 << 21)
                    for k in range(reach):
                        at = min(max(position[i, x, k], 0), width - 1)
                        total += np.int64(images[i, c, y, at]) * weight[i, x, k]
                    out[i, c, y, x] = _level(total)


@jit
def weighted_rows(images, out, position, weight, start, stop):
    _, channels, height, width = images.shape
    total = np.empty(width, np.int64)
    for i in range(start, stop):
        for y in range(out.shape[2]):
            reach = _reach(weight[i, y])
            for c in range(channels):
                total[:] = 1 << 21
                for k in range(reach):
                    at = min(max(position[i, y, k], 0), height - 1)
                    line, share = images[i, c, at], np.int64(weight[i, y, k])
                    for x in range(width):
                        total[x] += np.int64(line[x]) * share
                into = out[i, c, y]
                for x in range(width):
                    into[x] = _level(total[x])
