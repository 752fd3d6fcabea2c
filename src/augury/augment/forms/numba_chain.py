"""The numba back end's chain: an image through all slots of all stages while it lies in the cache, then to what is wanted."""

import numpy as np

from augury.augment.forms.blend import Degenerate
from augury.augment.forms.numba_finish import BAND, finish_pixels, finish_values
from augury.augment.forms.numba_paint import paint
from augury.augment.forms.numba_resize import resize
from augury.augment.forms.numba_space import space_for
from augury.augment.forms.numba_table import color, sharpness, table
from augury.augment.forms.numba_vector import interleaved
from augury.augment.forms.numba_warp import warp
from augury.augment.forms.records import (
    BILINEAR,
    BOTH,
    DEGENERATE,
    EDGE,
    FACTOR,
    FINISH,
    FORM,
    MATRIX,
    PAINT,
    PARTNER,
    RECIPE,
    RESAMPLING,
    UINT8,
    VALUE,
    WINDOW,
)  # fmt: skip # isort: skip
from augury.core.jit import jit, leaf

WARP, TABLE, BLEND, REGION, SEPARABLE = 0, 1, 2, 3, 5  # positions in FORMS
GREY = int(Degenerate.GREY)


@jit
def chain(
    images, size, whole, real, pixel_slots, joint, part, in_place, work, scale, shift, kind, last, out8, out16, out32, start, stop
):  # fmt: skip
    """Rows start..stop of uint8 [B,C,H,W] through their slots (whole, real: [B,S,...]), the first pixel_slots of them on pixels.

    joint: the slot that reads another image, the last one, or -1. part: BOTH, or where images are read by each other PIXELS,
    into `work`, and for all of them FINISH, from `work`. in_place: whether out8 is the images' own memory. scale, shift:
    float32 [C], where pixels become values. kind: of the result. last: whether channels come last. out8, out16, out32:
    [B, C*H*W], of which the one for `kind` counts.
    """
    _, channels, height, width = images.shape
    space = space_for(channels, height, width)
    scratch = space.images
    values = kind != UINT8
    bands, short = np.empty((2, channels, BAND if values else 0, width), np.float32), np.empty((channels, BAND * width), np.uint16)
    direct = kind == UINT8 and not last
    for i in range(start, stop):
        done, moved = work[i], False
        if part != FINISH:
            into = done
            if part == BOTH:
                into = out8[i].reshape(channels, height, width) if direct and not in_place else scratch[3]
            rows, columns = size[i, 0], size[i, 1]
            moved = _pixels(images[i], into, space, whole[i], real[i], pixel_slots, joint, rows, columns, part != BOTH, in_place)
            done = into if moved else images[i]
        if part != BOTH and part != FINISH:
            continue
        other = whole[i, joint, PARTNER] if joint >= 0 else i
        if kind == UINT8 and direct:
            target = out8[i].reshape(channels, height, width)
            if part == FINISH or moved == in_place:  # else it lies there already
                finish_pixels(done, work[other] if part == FINISH else done, whole[i], real[i], joint, target, space)
        elif kind == UINT8:
            finish_pixels(done, work[other] if part == FINISH else done, whole[i], real[i], joint, scratch[0], space)
            _channels_last(scratch[0], out8[i])
        else:
            finish_values(
                done, work[other] if part == FINISH else done, whole[i], real[i], whole[other], real[other],
                pixel_slots, joint, scale, shift, kind, last, out16[i], out32[i], bands, short, space,
            )  # fmt: skip


@leaf
def _pixels(source, into, space, whole, real, slots, joint, rows, columns, must, owned):
    """An image's slots on pixels, into `into` where anything acts (or it must lie there). Returns whether it lies there now.

    owned: whether the image may be written to, in which it then stays if nothing but boxes are painted.
    """
    final, paints = -1, False
    for s in range(slots):
        if _moves(whole[s]):
            final = s
        elif whole[s, FORM] == REGION and s != joint:
            paints = True
    if final < 0 and not must and (owned or not paints):
        for s in range(slots):
            if paints and whole[s, FORM] == REGION and s != joint:
                paint(source, 0, source.shape[1], whole[s], np.uint8(np.int64(real[s, PAINT])), True, space)
        return False
    if final < 0:
        _copy(source.reshape(-1), into.reshape(-1))
        source, owned = into, True
    turn = 0
    for s in range(slots):
        if _moves(whole[s]):
            target = into if s == final else space.images[turn]
            _moved(source, target, whole[s], real[s], rows, columns, space)
            source, owned, turn = target, True, 1 - turn
        elif whole[s, FORM] == REGION and s != joint:
            if not owned:
                target = space.images[turn]
                _copy(source.reshape(-1), target.reshape(-1))
                source, owned, turn = target, True, 1 - turn
            paint(source, 0, source.shape[1], whole[s], np.uint8(np.int64(real[s, PAINT])), True, space)
    return True


@leaf
def _moves(whole):
    form = whole[FORM]
    return form in (WARP, BLEND, SEPARABLE) or (form == TABLE and whole[RECIPE] != 0)


@leaf
def _moved(source, target, whole, real, rows, columns, space):
    form = whole[FORM]
    if form == WARP:
        edge = np.uint8(np.int64(real[EDGE]))
        warp(source, target, real[MATRIX : MATRIX + 6], whole[BILINEAR] != 0, edge, rows, columns, space)
    elif form == TABLE:
        table(source, target, whole[RECIPE], real[VALUE], rows, columns, space)
    elif form == SEPARABLE:
        resize(source, target, whole[RESAMPLING], real[WINDOW : WINDOW + 4], rows, columns, space)
    elif whole[DEGENERATE] == GREY:
        color(source, target, np.float32(real[FACTOR]), space)
    else:
        sharpness(source, target, np.float32(real[FACTOR]), rows, columns, space)


@leaf
def _copy(source, target):
    for k in range(target.shape[0]):
        target[k] = source[k]


@leaf
def _channels_last(image, out):
    channels = image.shape[0]
    if channels == 3:
        interleaved(image[0].reshape(-1), image[1].reshape(-1), image[2].reshape(-1), out, 0)
        return
    for c in range(channels):
        flat = image[c].reshape(-1)
        for k in range(flat.shape[0]):
            out[k * channels + c] = flat[k]
