"""The Triton back end's statistics kernel: per image and channel, the table that a slot's pixels look up."""

import triton
import triton.language as tl

from augury.augment.forms.triton_kernels import (
    AUTO_CONTRAST,
    CONTRAST,
    CONTRAST_PIXEL_COUNT,
    EQUALIZE,
    TABLE,
    WARP,
    _accumulates,
    _blended,
    _grey,
)


@triton.jit
def statistics(
    images, tables, axes, size, size_image, size_side, form, matrix, bilinear, recipe, value, step, height, width,
    CHANNELS: tl.constexpr, WARPS: tl.constexpr, TABLES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Per image and channel, what the pixels of one slot look up.

    tables: uint8 [B,C,256], written where the recipe reads a histogram. axes: int32 [B,W+H], source columns and rows,
    written where a straight warp has to add its steps up. Other rows return at once.
    """
    image = tl.program_id(0) // CHANNELS
    channel = tl.program_id(0) % CHANNELS
    kind = tl.load(form + image * step).to(tl.int32)
    images += image.to(tl.int64) * (CHANNELS * height * width)
    if WARPS:
        if kind == WARP and channel == 0:
            m = matrix + image * step * 6
            if _accumulates(m) and tl.load(bilinear + image * step) == 0:
                axes += image.to(tl.int64) * (width + height)
                _accumulate(axes, tl.load(m + 2), tl.load(m), width)
                _accumulate(axes + width, tl.load(m + 5), tl.load(m + 4), height)
    if TABLES:
        rows = tl.load(size + image * size_image).to(tl.int32)
        columns = tl.load(size + image * size_image + size_side).to(tl.int32)
        rule = tl.where(kind == TABLE, tl.load(recipe + image * step), 0)
        tables += (image * CHANNELS + channel) * 256
        if rule == CONTRAST:
            _contrast(images, tables, tl.load(value + image * step), rows, columns, height, width, CHANNELS, BLOCK)
        elif rule == CONTRAST_PIXEL_COUNT:
            count = tl.minimum(rows.to(tl.int64) * columns // 256, 255).to(tl.float32)
            _towards(count, tables, tl.load(value + image * step))
        elif rule == AUTO_CONTRAST:
            _auto_contrast(images + channel * height * width, tables, rows, columns, height, width, BLOCK)
        elif rule == EQUALIZE:
            _equalize(images + channel * height * width, tables, rows, columns, height, width, BLOCK)


@triton.jit
def _accumulate(axis, offset, scale, count):
    position = offset + scale * 0.5
    for k in range(count):
        tl.store(axis + k, tl.minimum(tl.maximum(tl.floor(position), -1.0), 1073741824.0).to(tl.int32))
        position += scale


@triton.jit
def _contrast(images, table, value, rows, columns, height, width, CHANNELS: tl.constexpr, BLOCK: tl.constexpr):
    total = tl.zeros((BLOCK,), tl.int32)
    plane = height * width
    for start in range(0, plane, BLOCK):
        place = start + tl.arange(0, BLOCK)
        valid = _valid(place, rows, columns, height, width)
        level = tl.load(images + place, valid, 0)
        if CHANNELS == 3:
            total += _grey(level, tl.load(images + plane + place, valid, 0), tl.load(images + 2 * plane + place, valid, 0))
        else:
            total += level.to(tl.int32)
    # Outside the valid size all levels are 0, and so is their grey.
    count = tl.maximum(rows.to(tl.int64) * columns, 1)
    mean = tl.floor(tl.sum(total.to(tl.int64)).to(tl.float64) / count.to(tl.float64) + 0.5).to(tl.float32)
    _towards(mean, table, value)


@triton.jit
def _towards(mean, table, value):
    """All levels moved away from one."""
    levels = tl.arange(0, 256)
    tl.store(table + levels, _blended(mean, levels.to(tl.float32), value.to(tl.float32)))


@triton.jit
def _auto_contrast(plane, table, rows, columns, height, width, BLOCK: tl.constexpr):
    lowest = tl.full((BLOCK,), 255, tl.int32)
    highest = tl.zeros((BLOCK,), tl.int32)
    for start in range(0, height * width, BLOCK):
        place = start + tl.arange(0, BLOCK)
        valid = _valid(place, rows, columns, height, width)
        level = tl.load(plane + place, valid, 0).to(tl.int32)
        highest = tl.maximum(highest, level)
        lowest = tl.minimum(lowest, tl.where(valid, level, 255))
    low, high = tl.min(lowest).to(tl.float64), tl.max(highest).to(tl.float64)
    scale = tl.full((), 255.0, tl.float64) / tl.maximum(high - low, 1.0)
    levels = tl.arange(0, 256)
    stretched = levels.to(tl.float64) * scale + -low * scale
    stretched = tl.minimum(tl.maximum(stretched, 0.0), 255.0).to(tl.int32)
    tl.store(table + levels, tl.where(high > low, stretched, levels).to(tl.uint8))


@triton.jit
def _equalize(plane, table, rows, columns, height, width, BLOCK: tl.constexpr):
    counts = tl.zeros((256,), tl.int32)
    for start in range(0, height * width, BLOCK):
        place = start + tl.arange(0, BLOCK)
        valid = _valid(place, rows, columns, height, width)
        counts += tl.histogram(tl.load(plane + place, valid, 0).to(tl.int32), 256)
    levels = tl.arange(0, 256)
    # Every pixel that is not valid was counted as black.
    blocks = (height * width + BLOCK - 1) // BLOCK
    counts -= tl.where(levels == 0, blocks * BLOCK - rows * columns, 0)
    last = tl.max(tl.where(counts > 0, levels, 0))
    divided = (rows * columns - tl.sum(tl.where(levels == last, counts, 0))) // 255
    before = tl.cumsum(counts, 0) - counts
    equalized = tl.minimum((divided // 2 + before) // tl.maximum(divided, 1), 255)
    tl.store(table + levels, tl.where(divided > 0, equalized, levels).to(tl.uint8))


@triton.jit
def _valid(place, rows, columns, height, width):
    y = place // width
    return (place < height * width) & (y < rows) & (place - y * width < columns)
