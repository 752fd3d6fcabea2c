"""The numba back end's warps: Pillow's arithmetic exactly, as augury.augment.forms.warp describes it."""

import numpy as np

from augury.augment.forms.numba_parts import START, copied
from augury.augment.forms.numba_wide import filled, moved, separated
from augury.core.jit import inlined, leaf, merged, part

BLOCK = 4096  # pixels at a time: with the places they are read at they stay in a near cache


@merged
def warp(source, target, m, bilinear, edge, rows, columns, packed):
    """uint8 [C,H,W] read at the affine map m (float64 [6]) of every pixel; `edge` lies outside the valid `rows` and `columns`.

    packed: uint32 [H*W+1], scratch.
    """
    if bilinear:
        _bilinear(source, target, m, edge, rows, columns)
    elif m[1] == 0 and m[3] == 0:
        _straight(source, target, m, edge, rows, columns)
    else:
        _general(source, target, m, edge, rows, columns, packed)


@leaf
def _fixed(v):
    return np.int64(np.floor(v * 65536.0 + 0.5))


@merged
def _general(source, target, m, edge, rows, columns, pixels):
    """Nearest neighbour in 16.16 fixed point; a shear along x is one shift per row, along y one per column."""
    channels, height, width = source.shape
    start_x = _fixed(m[2] + m[0] * 0.5 + m[1] * 0.5)
    start_y = _fixed(m[5] + m[3] * 0.5 + m[4] * 0.5)
    a, b, d, e = _fixed(m[0]), _fixed(m[1]), _fixed(m[3]), _fixed(m[4])
    if d == 0 and a == 65536:
        for y in range(height):
            _shifted_row(source, target, y, (start_y + y * e) >> 16, (start_x + y * b) >> 16, edge, rows, columns)
        return
    if b == 0 and a == 65536 and e == 65536 and 3 * abs(d) <= 65536:  # stretches of a pixel or two are gathered faster
        _shifted_columns(source, target, start_x >> 16, start_y, d, edge, rows, columns)
        return
    for c in range(0, channels, 4):
        _together(source[c : c + 4], target[c : c + 4], start_x, start_y, a, b, d, e, edge, rows, columns, pixels)


@part
def _together(source, target, start_x, start_y, a, b, d, e, edge, rows, columns, pixels):
    """Up to four channels, whose levels of a pixel are read together. The last entry of `pixels` is what lies outside."""
    channels, height, width = source.shape
    furthest = max(abs(start_x) + abs(a) * width + abs(b) * height, abs(start_y) + abs(d) * width + abs(e) * height)
    _packed(source, pixels)
    pixels[height * width] = np.uint32(edge) * np.uint32(0x01010101)
    most = max(1, BLOCK // width)
    index, read = np.empty(most * width, np.int32), np.empty(most * width, np.uint32)
    for first in range(0, height, most):
        last = min(first + most, height)
        for y in range(first, last):
            fx, fy, line = start_x + y * b, start_y + y * e, index[(y - first) * width : (y - first + 1) * width]
            if furthest < 2147483648:
                _indices(line, np.int32(fx), np.int32(fy), np.int32(a), np.int32(d), np.int32(rows), np.int32(columns), height)
            else:
                _far_indices(line, fx, fy, a, d, rows, columns, height)
        count = (last - first) * width
        for k in range(count):
            read[k] = pixels[np.uint32(index[k])]
        for c in range(channels):
            separated(read[:count], target[c].reshape(-1)[first * width : last * width], c)


@leaf
def _packed(source, pixels):
    """The channels of each pixel in one number, the first in its lowest byte."""
    first = source[0].reshape(-1)
    if source.shape[0] == 3:
        second, third = source[1].reshape(-1), source[2].reshape(-1)
        for k in range(first.shape[0]):
            upper = np.uint32(np.uint32(second[k]) << np.uint32(8)) | np.uint32(np.uint32(third[k]) << np.uint32(16))
            pixels[k] = np.uint32(first[k]) | upper
        return
    for k in range(first.shape[0]):
        pixels[k] = np.uint32(first[k])
    for c in range(1, source.shape[0]):
        plane, shift = source[c].reshape(-1), np.uint32(8 * c)
        for k in range(plane.shape[0]):
            pixels[k] |= np.uint32(plane[k]) << shift


@inlined
def _indices(index, fx, fy, a, d, rows, columns, height):
    """Where the pixels of one row are read in a plane, its end for those outside; 32 bits throughout, so that more fit a vector."""
    width, shift = np.int32(index.shape[0]), np.int32(16)
    outside = np.int32(width * np.int32(height))
    for x in range(index.shape[0]):
        column = np.int32(fx + np.int32(np.int32(x) * a)) >> shift
        row = np.int32(fy + np.int32(np.int32(x) * d)) >> shift
        good = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        index[x] = np.int32(np.int32(row * width) + column) if good else outside


@leaf
def _far_indices(index, fx, fy, a, d, rows, columns, height):
    """As above, for positions beyond 32 bits."""
    for x in range(index.shape[0]):
        column, row = (fx + x * a) >> 16, (fy + x * d) >> 16
        good = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        index[x] = row * index.shape[0] + column if good else height * index.shape[0]


@leaf
def _inside(index):
    """From where to where a row reads the image: one stretch, since its source is a straight line through a rectangle."""
    low, high = 0, index.shape[0]
    while low < high and index[low] < 0:
        low += 1
    while high > low and index[high - 1] < 0:
        high -= 1
    return low, high


@inlined
def _gathered(plane, line, index, low, high, edge):
    """One row: read from low to high, `edge` beside it."""
    line[:low] = edge
    line[high:] = edge
    chosen, into = index[low:high], line[low:high]
    for x in range(into.shape[0]):
        into[x] = plane[np.uint32(chosen[x])]


@inlined
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
        copied(source[c, row, low + shift : high + shift], into[low:high])


@leaf
def _shifted_columns(source, target, shift, start_y, d, edge, rows, columns):
    """Neighbouring columns that move by the same number of rows together."""
    channels, height, width = source.shape
    first, last = max(-shift, 0), min(columns - shift, width)
    for c in range(channels):  # one after another: a column's lines of memory are still in the nearest cache for the next
        flat, into, x = source[c].reshape(-1), target[c].reshape(-1), first
        filled(into, START, into.shape[0], edge)
        while x < last:
            left, down = x, (start_y + x * d) >> 16
            while x < last and (start_y + x * d) >> 16 == down:
                x += 1
            top, bottom = max(-down, 0), min(rows - down, height)
            moved(flat, (top + down) * width + left + shift, into, top * width + left, x - left, width, bottom - top)


@leaf
def _shifted(source, target, shift, down, edge, rows, columns):
    """A move by whole pixels: each channel's memory is copied at one offset, then the border is painted."""
    channels, height, width = source.shape
    flat, into = source.reshape(-1), target.reshape(-1)
    top, bottom = min(max(-down, 0), height), max(min(rows - down, height), 0)
    left, right = min(max(-shift, 0), width), max(min(columns - shift, width), 0)
    if bottom <= top or right <= left:
        filled(into, START, into.shape[0], edge)
        return
    offset = down * width + shift
    first, last = top * width + left, (bottom - 1) * width + right
    for c in range(channels):
        begin = c * height * width
        filled(into, begin, first, edge)
        copied(flat[begin + first + offset : begin + last + offset], into[begin + first : begin + last])
        filled(into, begin + last, height * width - last, edge)
        for y in range(top, bottom):
            filled(into, begin + y * width, left, edge)
            filled(into, begin + y * width + right, width - right, edge)


@part
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
    low, high = np.int64(width), np.int64(0)
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


@leaf
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


@part
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


@leaf
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
