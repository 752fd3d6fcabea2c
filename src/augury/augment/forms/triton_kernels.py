"""The Triton back end's kernels: one program per image and block of pixels, all channels at once.

A program reads its image's record and takes one branch, so that a mixed batch costs about as much as its operations.
Products and sums are rounded one after the other, as in PyTorch: every launch turns fused multiply-add off
(`enable_fp_fusion=False`), and no float32 is divided. The result equals the plain back end's to the bit.
"""

import triton
import triton.language as tl

from augury.augment.forms.blend import Degenerate
from augury.augment.forms.region import Content
from augury.augment.forms.table import TableKind
from augury.core.hash_triton import GOLDEN, mixed

WARP, TABLE, BLEND = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)  # positions in augury.augment.forms.lowered.FORMS
INVERT, SOLARIZE = tl.constexpr(int(TableKind.INVERT)), tl.constexpr(int(TableKind.SOLARIZE))
SOLARIZE_ADD, POSTERIZE = tl.constexpr(int(TableKind.SOLARIZE_ADD)), tl.constexpr(int(TableKind.POSTERIZE))
BRIGHTNESS, CONTRAST = tl.constexpr(int(TableKind.BRIGHTNESS)), tl.constexpr(int(TableKind.CONTRAST))
AUTO_CONTRAST, EQUALIZE = tl.constexpr(int(TableKind.AUTO_CONTRAST)), tl.constexpr(int(TableKind.EQUALIZE))
CONTRAST_PIXEL_COUNT = tl.constexpr(int(TableKind.CONTRAST_PIXEL_COUNT))
GREY, SMOOTH = tl.constexpr(int(Degenerate.GREY)), tl.constexpr(int(Degenerate.SMOOTH))
CONSTANT, PARTNER = tl.constexpr(int(Content.CONSTANT)), tl.constexpr(int(Content.PARTNER))
NOISE, GRID = tl.constexpr(int(Content.NOISE)), tl.constexpr(int(Content.GRID))
NOISE_SCALE = tl.constexpr(12**0.5 / 256)


@triton.jit
def pixels(
    images, out, tables, axes, size, size_image, size_side, form, matrix, bilinear, fill, recipe, value, degenerate, factor,
    step, height, width, tiles,
    CHANNELS: tl.constexpr, WARPS: tl.constexpr, TABLES: tl.constexpr, BLENDS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One slot's warp, table or blend of uint8 [B,C,H,W], `images` to `out`; rows on which nothing acts are copied."""
    image = tl.program_id(0) // tiles
    place = (tl.program_id(0) % tiles) * BLOCK + tl.arange(0, BLOCK)
    kind = tl.load(form + image * step).to(tl.int32)
    rows = tl.load(size + image * size_image).to(tl.int32)
    columns = tl.load(size + image * size_image + size_side).to(tl.int32)
    base = image.to(tl.int64) * (CHANNELS * height * width)
    images += base
    out += base
    at = image * step
    acts = kind < -1
    if WARPS:
        acts |= kind == WARP
        if kind == WARP:
            edge = tl.load(fill + at).to(tl.int32).to(tl.uint8)
            m = matrix + at * 6
            if tl.load(bilinear + at) != 0:
                _bilinear(images, out, m, edge, place, rows, columns, height, width, CHANNELS)
            else:
                axes += image.to(tl.int64) * (width + height)
                _nearest(images, out, axes, m, edge, place, rows, columns, height, width, CHANNELS)
    if TABLES:
        rule = tl.where(kind == TABLE, tl.load(recipe + at), 0)
        acts |= rule != 0
        if rule != 0:
            tables += image * (CHANNELS * 256)
            _looked_up(images, out, tables, rule, tl.load(value + at), place, height * width, CHANNELS)
    if BLENDS:
        end = tl.where(kind == BLEND, tl.load(degenerate + at), 0)
        if CHANNELS == 3:
            acts |= end == GREY
            if end == GREY:
                _color(images, out, tl.load(factor + at), place, height * width)
        acts |= end == SMOOTH
        if end == SMOOTH:
            _sharpness(images, out, tl.load(factor + at), place, rows, columns, height, width, CHANNELS)
    if acts == 0:
        within = place < height * width
        for channel in tl.static_range(CHANNELS):
            here = channel * height * width + place
            tl.store(out + here, tl.load(images + here, within), within)


@triton.jit
def regions(
    images, out, partner, partner_step, content, fill, pattern, grid, step, box, box_step, height, width, tiles,
    CHANNELS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Boxes (int64 [B,4]) of [B,C,H,W], uint8 or float32, filled; partners are read from `images`."""
    image = tl.program_id(0) // tiles
    place = (tl.program_id(0) % tiles) * BLOCK + tl.arange(0, BLOCK)
    within = place < height * width
    y = place // width
    x = place - y * width
    kind = tl.load(content + image * step)
    corner = box + image * box_step
    inside = (y >= tl.load(corner)) & (x >= tl.load(corner + 1)) & (y < tl.load(corner + 2)) & (x < tl.load(corner + 3))
    base = image.to(tl.int64) * (CHANNELS * height * width)
    own = images + base
    out += base
    if kind == PARTNER:
        # A row out of bounds would read foreign memory, where the plain back end raises.
        other = images + tl.load(partner + image * partner_step) * (CHANNELS * height * width)
        for channel in tl.static_range(CHANNELS):
            here = channel * height * width + place
            # The own row whole: loads that only the image's end masks are wide ones.
            there = tl.load(other + here, within & inside)
            tl.store(out + here, tl.where(inside, there, tl.load(own + here, within)), within)
    elif kind == NOISE:
        key = mixed(tl.load(pattern + image * step).to(tl.uint64, bitcast=True) + GOLDEN)
        for channel in tl.static_range(CHANNELS):
            here = channel * height * width + place
            spot = (tl.full((), channel, tl.int64) << 40) | (y.to(tl.int64) << 20) | (x >> 3).to(tl.int64)
            level = ((mixed(key + spot.to(tl.uint64) * GOLDEN) >> ((x & 7) * 8).to(tl.uint64)) & 255).to(tl.int32)
            if images.dtype.element_ty == tl.uint8:
                drawn = level.to(tl.uint8)
            else:
                drawn = (level.to(tl.float32) - 127.5) * NOISE_SCALE
            tl.store(out + here, tl.where(inside, drawn, tl.load(own + here, within)), within)
    else:
        chosen = inside & ((kind == CONSTANT) | (kind == GRID))
        if kind == GRID:
            chosen = inside & _squares(
                grid + image * step * 6, 2 * y + 1 - tl.load(corner) - tl.load(corner + 2),
                2 * x + 1 - tl.load(corner + 1) - tl.load(corner + 3),
            )  # fmt: skip
        flat = tl.load(fill + image * step)
        if images.dtype.element_ty == tl.uint8:
            flat = flat.to(tl.int32).to(tl.uint8)
        for channel in tl.static_range(CHANNELS):
            here = channel * height * width + place
            tl.store(out + here, tl.where(chosen, flat, tl.load(own + here, within)), within)


@triton.jit
def _squares(grid, y, x):
    """Which pixels lie in the grid's squares; the inner additions make C's remainder Python's."""
    period, band = tl.load(grid), tl.load(grid + 1)
    down, across = tl.load(grid + 2), tl.load(grid + 3)
    cosine, sine = tl.load(grid + 4), tl.load(grid + 5)
    row = ((y * cosine - x * sine) >> 17) + down
    column = ((x * cosine + y * sine) >> 17) + across
    return ((row % period + period) % period >= band) & ((column % period + period) % period >= band)


@triton.jit
def _fixed(v):
    return tl.floor(v * 65536.0 + 0.5).to(tl.int64)


@triton.jit
def _even(v):
    """Whether a coefficient counts in 1/32768 pixels and is small, so that no sum of its steps is ever rounded."""
    return (tl.floor(v * 32768.0) == v * 32768.0) & (tl.abs(v) <= 1048576.0)


@triton.jit
def _accumulates(m):
    """Whether a nearest warp has to add up its steps as Pillow does: straight, and with steps that are rounded.

    Where they are not, 16.16 fixed point gives the same source positions.
    """
    straight = (tl.load(m + 1) == 0.0) & (tl.load(m + 3) == 0.0)
    return straight & ((_even(tl.load(m)) & _even(tl.load(m + 2)) & _even(tl.load(m + 4)) & _even(tl.load(m + 5))) == 0)


@triton.jit
def _nearest(images, out, axes, m, edge, place, rows, columns, height, width, CHANNELS: tl.constexpr):
    y = place // width
    x = place - y * width
    within = place < height * width
    if _accumulates(m):
        column = tl.load(axes + x, within, 0)
        row = tl.load(axes + width + y, within, 0)
        _moved(images, out, row, column, edge, place, rows, columns, height, width, CHANNELS)
    else:
        m0, m1, m2 = tl.load(m), tl.load(m + 1), tl.load(m + 2)
        m3, m4, m5 = tl.load(m + 3), tl.load(m + 4), tl.load(m + 5)
        start_x = _fixed(m2 + m0 * 0.5 + m1 * 0.5)
        start_y = _fixed(m5 + m3 * 0.5 + m4 * 0.5)
        a, b, d, e = _fixed(m0), _fixed(m1), _fixed(m3), _fixed(m4)
        furthest = tl.maximum(
            tl.abs(start_x) + tl.abs(a) * width + tl.abs(b) * height, tl.abs(start_y) + tl.abs(d) * width + tl.abs(e) * height
        )
        if furthest < 2147483648:  # 32 bits hold all positions
            column = _along(start_x, a, b, x, y, tl.int32)
            row = _along(start_y, d, e, x, y, tl.int32)
            _moved(images, out, row, column, edge, place, rows, columns, height, width, CHANNELS)
        else:
            far_column = _along(start_x, a, b, x, y, tl.int64)
            far_row = _along(start_y, d, e, x, y, tl.int64)
            _moved(images, out, far_row, far_column, edge, place, rows, columns, height, width, CHANNELS)


@triton.jit
def _along(start, across, down, x, y, kind: tl.constexpr):
    return (start.to(kind) + x * across.to(kind) + y * down.to(kind)) >> 16


@triton.jit
def _moved(images, out, row, column, edge, place, rows, columns, height, width, CHANNELS: tl.constexpr):
    """Pixels read at row, column; `edge` where that is outside the valid size."""
    within = place < height * width
    inside = within & (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
    source = (row * width + column).to(tl.int32)
    for channel in tl.static_range(CHANNELS):
        start = channel * height * width
        tl.store(out + start + place, tl.load(images + start + source, inside, edge), within)


@triton.jit
def _bilinear(images, out, m, edge, place, rows, columns, height, width, CHANNELS: tl.constexpr):
    within = place < height * width
    line = place // width
    y = line.to(tl.float64) + 0.5
    x = (place - line * width).to(tl.float64) + 0.5
    u = tl.load(m) * x + tl.load(m + 1) * y + tl.load(m + 2)
    v = tl.load(m + 3) * x + tl.load(m + 4) * y + tl.load(m + 5)
    inside = within & (u >= 0.0) & (u < columns.to(tl.float64)) & (v >= 0.0) & (v < rows.to(tl.float64))
    u = tl.where(inside, u - 0.5, 0.0)
    v = tl.where(inside, v - 0.5, 0.0)
    left, top = tl.floor(u), tl.floor(v)
    dx, dy = u - left, v - top
    x0, y0 = left.to(tl.int32), top.to(tl.int32)
    x1, y1 = tl.minimum(x0 + 1, columns - 1), tl.minimum(y0 + 1, rows - 1)
    x0, y0 = tl.maximum(x0, 0), tl.maximum(y0, 0)
    for channel in tl.static_range(CHANNELS):
        start = channel * height * width
        source = images + start
        upper = tl.load(source + y0 * width + x0, inside, 0).to(tl.float64)
        lower = tl.load(source + y1 * width + x0, inside, 0).to(tl.float64)
        upper = upper + (tl.load(source + y0 * width + x1, inside, 0).to(tl.float64) - upper) * dx
        lower = lower + (tl.load(source + y1 * width + x1, inside, 0).to(tl.float64) - lower) * dx
        level = (upper + (lower - upper) * dy).to(tl.int32).to(tl.uint8)
        tl.store(out + start + place, tl.where(inside, level, edge), within)


@triton.jit
def _blended(degenerate, level, f):
    """Pillow's blend in float32: clipped, then truncated."""
    beyond = (level - degenerate) * f + degenerate
    return tl.minimum(tl.maximum(beyond, 0.0), 255.0).to(tl.int32).to(tl.uint8)


@triton.jit
def _grey(red, green, blue):
    return (red.to(tl.int32) * 19595 + green.to(tl.int32) * 38470 + blue.to(tl.int32) * 7471 + 0x8000) >> 16


@triton.jit
def _looked_up(images, out, tables, rule, value, place, plane, CHANNELS: tl.constexpr):
    """The recipes without statistics by arithmetic, which is cheaper than a table; the others by theirs."""
    within = place < plane
    number = tl.minimum(tl.maximum(value, -512.0), 512.0)
    f = value.to(tl.float32)
    for channel in tl.static_range(CHANNELS):
        here = channel * plane + place
        level = tl.load(images + here, within, 0).to(tl.int32)
        if rule == INVERT:
            result = (255 - level).to(tl.uint8)
        elif rule == SOLARIZE:
            result = tl.where(level < tl.ceil(number).to(tl.int32), level, 255 - level).to(tl.uint8)
        elif rule == SOLARIZE_ADD:
            raised = tl.minimum(tl.maximum(level + number.to(tl.int32), 0), 255)
            result = tl.where(level < 128, raised, level).to(tl.uint8)
        elif rule == POSTERIZE:
            dropped = 8 - number.to(tl.int32)
            result = ((level >> dropped) << dropped).to(tl.uint8)
        elif rule == BRIGHTNESS:
            result = _blended(0.0, level.to(tl.float32), f)
        else:
            result = tl.load(tables + channel * 256 + level, within, 0)
        tl.store(out + here, result, within)


@triton.jit
def _color(images, out, f, place, plane):
    within = place < plane
    red = tl.load(images + place, within, 0)
    green = tl.load(images + plane + place, within, 0)
    blue = tl.load(images + 2 * plane + place, within, 0)
    grey = _grey(red, green, blue).to(tl.float32)
    tl.store(out + place, _blended(grey, red.to(tl.float32), f), within)
    tl.store(out + plane + place, _blended(grey, green.to(tl.float32), f), within)
    tl.store(out + 2 * plane + place, _blended(grey, blue.to(tl.float32), f), within)


@triton.jit
def _sharpness(images, out, f, place, rows, columns, height, width, CHANNELS: tl.constexpr):
    """Pillow's SMOOTH in integers; the border of the valid size is copied."""
    within = place < height * width
    y = place // width
    x = place - y * width
    inner = within & (y >= 1) & (y < rows - 1) & (x >= 1) & (x < columns - 1)
    for channel in tl.static_range(CHANNELS):
        source = images + channel * height * width + place
        level = tl.load(source, within, 0).to(tl.int32)
        total = 4 * level + 6
        for down in tl.static_range(-1, 2):
            for across in tl.static_range(-1, 2):
                total += tl.load(source + (down * width + across), inner, 0).to(tl.int32)
        smooth = tl.where(inner, total // 13, level)
        tl.store(out + channel * height * width + place, _blended(smooth.to(tl.float32), level.to(tl.float32), f), within)
