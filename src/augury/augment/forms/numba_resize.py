"""The numba back end's resize of a window to the whole image: Pillow's two passes, only over rows that are read.

Positions are looked up 64 at a time where the processor has AVX-512 VBMI, and one by one elsewhere, with the same result. One file,
as that of the other kernels is: numba's cache on disk notices edits of this file alone.
"""

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from augury.augment.forms.separable import Kernel
from augury.core.jit import jit, leaf

CUBIC = int(Kernel.CUBIC)
TAPS = 4  # of one sum at most: a window is never larger than the image it fills
STEP = 64  # bytes that are moved at once
_BYTES = ir.VectorType(ir.IntType(8), STEP)


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
            _copied(images[i].reshape(-1), out[i].reshape(-1))
        else:
            _resized(images[i], out[i], between, kernel[i], window[i], size[i, 0], size[i, 1], lines, share, levels)


@leaf
def _copied(source, target):
    for k in range(target.shape[0]):
        target[k] = source[k]


@leaf
def _resized(source, target, between, kernel, window, rows, columns, lines, share, levels):
    """A window (float64 [4]: rows' start and end, columns' start and end) of uint8 [C,H,W] fills the valid `rows` and `columns`.

    What lies outside the valid size is copied.
    """
    channels, height, width = source.shape
    place, weight, index, start = lines[0], lines[1 : 1 + TAPS], levels[TAPS], lines[6]
    first, last = np.int64(window[0]), np.int64(window[1])
    used = _weights(kernel, window[2], window[3], columns, place, weight, share)
    for x in range(columns):
        if x % STEP == 0:
            start[x // STEP] = place[x]
        index[x] = np.uint8(place[x] - start[x // STEP])
    for c in range(channels):
        plane, out = source[c].reshape(-1), between[c]
        for y in range(first, last):
            for k in range(used):
                permuted(plane, y * width + k, start, index, levels[k], columns)
            if used == 2:  # nearly always: bilinear
                _two(levels[0], weight[0], levels[1], weight[1], out[y, :columns])
            else:
                _several(levels, weight, used, lines[7], out[y, :columns])
    used = _weights(kernel, window[0], window[1], rows, place, weight, share)
    for c in range(channels):
        for y in range(rows):
            into, at = target[c, y, :columns], place[y]
            if used == 2:
                far = between[c, min(at + 1, height - 1), :columns]
                _two_rows(between[c, at, :columns], weight[0, y], far, weight[1, y], into)
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
            distance = abs((position - centre + 0.5) / stretch)
            shape = _cubic(distance) if kernel == CUBIC else max(1.0 - distance, 0.0)
            share[k] = shape if position < last else 0.0
            total += share[k]
        total = 1.0 if total == 0.0 else total
        place[x] = np.int32(first)
        for k in range(TAPS):
            part = share[k] / total * 4194304.0
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
def _two(near, one, far, other, into):
    for x in range(into.shape[0]):
        into[x] = _level(np.int32(np.int32(np.int32(near[x]) * one[x]) + np.int32(np.int32(far[x]) * other[x])))


@leaf
def _two_rows(near, one, far, other, into):
    for x in range(into.shape[0]):
        into[x] = _level(np.int32(np.int32(np.int32(near[x]) * one) + np.int32(np.int32(far[x]) * other)))


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


def _wide() -> bool:
    """Whether kernels are compiled for a processor that permutes 64 bytes at once."""
    asked = (getattr(config, "CPU_NAME", None), getattr(config, "CPU_FEATURES", None))
    if any(asked):
        return "+avx512vbmi" in (asked[1] or "")
    return bool(llvm.get_host_cpu_features().get("avx512vbmi"))


WIDE = _wide()


def _at(context, builder, kind, array, offset, vector):
    """A pointer to the entries of an array from `offset` on, as a vector."""
    data = context.make_array(kind)(context, builder, value=array).data
    return builder.bitcast(builder.gep(data, [offset]), vector.as_pointer())


def _read(context, builder, kind, array, offset, vector=_BYTES):
    return builder.load(_at(context, builder, kind, array, offset, vector), align=1)


def _call(builder, name, *vectors):
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_BYTES, [_BYTES] * len(vectors)), name)
    return builder.call(function, vectors)


@intrinsic
def _permuted(typing, line, start, index, into, k):
    """into[k + j] = line[start + index[k + j]] for j < 64; indices below 64."""

    def made(context, builder, signature, arguments):
        line, start, index, into, k = arguments
        kinds = signature.args
        read = _read(context, builder, kinds[0], line, start)
        order = _read(context, builder, kinds[2], index, k)
        moved = _call(builder, "llvm.x86.avx512.permvar.qi.512", read, order)
        builder.store(moved, _at(context, builder, kinds[3], into, k, _BYTES), align=1)
        return context.get_dummy_value()

    return types.void(line, types.int64, index, into, types.int64), made


if WIDE:

    @leaf
    def permuted(flat, begin, start, index, into, count):
        """into[k] = flat[begin + start[k // 64] + index[k]] for k < count; `index` is below 64, and both have room for whole steps.
        What would be read beyond the end is its last entry."""
        for k in range(0, count, STEP):
            first = begin + np.int64(start[k // STEP])
            if first + STEP <= flat.shape[0]:
                _permuted(flat, first, index, into, k)
            else:
                for x in range(k, min(k + STEP, count)):
                    into[x] = flat[min(first + np.int64(index[x]), flat.shape[0] - 1)]

else:

    @leaf
    def permuted(flat, begin, start, index, into, count):
        """into[k] = flat[begin + start[k // 64] + index[k]] for k < count."""
        for k in range(count):
            into[k] = flat[min(begin + np.int64(start[k // STEP]) + np.int64(index[k]), flat.shape[0] - 1)]
