"""The numba back end's last step of a chain: finished pixels to what the network reads, written once.

Normalised, with the boxes that are painted on values and the other image of a mix, in float32, bfloat16 or float16, channels
before or after rows and columns.
"""

import numpy as np

from augury.augment.forms.numba_jit import jit
from augury.augment.forms.numba_paint import paint
from augury.augment.forms.records import BFLOAT16, BOX, CONTENT, FLOAT32, FORM, KEEP, PAINT
from augury.augment.forms.region import Content

TABLE_REGION, TABLE_MIX = 3, 4  # positions in FORMS
PARTNER = int(Content.PARTNER)
BAND = 16  # rows at a time: with both images of a mix they stay in the first cache


@jit
def finish_pixels(own, other, whole, real, joint, out):
    """uint8 [C,H,W] as it is, or with its box or share of the other image."""
    if joint >= 0 and whole[joint, FORM] == TABLE_MIX:
        _mixed_pixels(own.reshape(-1), other.reshape(-1), out.reshape(-1), np.float32(real[joint, KEEP]))
    elif joint >= 0 and whole[joint, FORM] == TABLE_REGION and whole[joint, CONTENT] == PARTNER:
        _spliced(own, other, out, whole[joint])
    else:
        flat, into = own.reshape(-1), out.reshape(-1)
        for k in range(into.shape[0]):
            into[k] = flat[k]
        if joint >= 0 and whole[joint, FORM] == TABLE_REGION:
            paint(out, 0, whole[joint], np.uint8(np.int64(real[joint, PAINT])), True)


@jit
def _mixed_pixels(own, other, into, share):
    rest = np.float32(1) - share
    for k in range(into.shape[0]):
        level = np.float32(own[k]) * share + np.float32(other[k]) * rest + np.float32(0.5)
        into[k] = np.uint8(min(max(level, np.float32(0)), np.float32(255)))


@jit
def _spliced(own, other, target, whole):
    """Rows of the other image between what stays of the own one, every byte written once."""
    channels, height, width = own.shape
    top, left, bottom, right = whole[BOX], whole[BOX + 1], whole[BOX + 2], whole[BOX + 3]
    mine, theirs, into = own.reshape(-1), other.reshape(-1), target.reshape(-1)
    done = 0
    if left < right:
        for c in range(channels):
            for y in range(top, bottom):
                first = (c * height + y) * width + left
                last = first + right - left
                _copy(mine[done:first], into[done:first])
                _copy(theirs[first:last], into[first:last])
                done = last
    _copy(mine[done:], into[done:])


@jit
def _copy(source, target):
    """One stretch of memory; loops from 0 over slices are what the compiler turns into wide moves."""
    for k in range(target.shape[0]):
        target[k] = source[k]


@jit
def finish_values(own, other, whole, real, other_whole, other_real, first_slot, joint, scale, shift, kind, last, out16, out32):
    """Finished uint8 [C,H,W] to values. Slots from first_slot on are painted on values, `joint` (or -1) reads the other image,
    whose own slots are other_whole and other_real. last: whether channels come last. out16, out32: flat, one of them counts."""
    channels, height, width = own.shape
    direct = kind == FLOAT32 and not last
    if direct and joint < 0:
        _values(own, out32.reshape(channels, height, width), 0, 0, width, whole, real, first_slot, joint, scale, shift)
        return
    band = np.empty((channels, BAND, width), np.float32)
    theirs = np.empty((channels, BAND if joint >= 0 else 0, width), np.float32)
    for first in range(0, height, BAND):
        count = min(BAND, height - first)
        if count < BAND:
            band = np.empty((channels, count, width), np.float32)
            theirs = np.empty((channels, count if joint >= 0 else 0, width), np.float32)
        _values(own, band, first, 0, width, whole, real, first_slot, joint, scale, shift)
        if joint >= 0:
            row = whole[joint]
            if row[FORM] == TABLE_MIX:
                _values(other, theirs, first, 0, width, other_whole, other_real, first_slot, joint, scale, shift)
                _mixed(band.reshape(-1), theirs.reshape(-1), np.float32(real[joint, KEEP]))
            elif row[FORM] == TABLE_REGION and row[CONTENT] == PARTNER:
                above, below = max(row[BOX], first), min(row[BOX + 2], first + count)
                left, right = row[BOX + 1], row[BOX + 3]
                if above < below and left < right:
                    _values(other, theirs, first, left, right, other_whole, other_real, first_slot, joint, scale, shift)
                    for c in range(channels):
                        for y in range(above - first, below - first):
                            _copy(theirs[c, y, left:right], band[c, y, left:right])
            elif row[FORM] == TABLE_REGION:
                paint(band, first, row, np.float32(real[joint, PAINT]), False)
        _emitted(band, first, height, kind, last, out16, out32)


@jit
def _values(pixels, band, first, left, right, whole, real, first_slot, joint, scale, shift):
    """Rows `first` onwards, columns left to right, normalised into float32 [C,n,W], with the boxes painted on values."""
    channels, count, width = band.shape
    for c in range(channels):
        by, add = scale[c], shift[c]
        if right - left == width:
            _normalised(pixels[c, first : first + count].reshape(-1), band[c].reshape(-1), by, add)
        else:
            for y in range(count):
                _normalised(pixels[c, first + y, left:right], band[c, y, left:right], by, add)
    for s in range(first_slot, whole.shape[0]):
        if s != joint and whole[s, FORM] == TABLE_REGION:
            paint(band, first, whole[s], np.float32(real[s, PAINT]), False)


@jit
def _normalised(levels, into, by, add):
    for k in range(into.shape[0]):
        into[k] = np.float32(levels[k]) * by + add


@jit
def _mixed(into, other, share):
    rest = np.float32(1) - share
    for k in range(into.shape[0]):
        into[k] = into[k] * share + other[k] * rest


@jit
def _emitted(band, first, height, kind, last, out16, out32):
    channels, count, width = band.shape
    if kind == FLOAT32:
        for c in range(channels):
            if last:
                _spread(band[c].reshape(-1), out32, first * width, c, channels)
            else:
                start = (c * height + first) * width
                _copy(band[c].reshape(-1), out32[start : start + count * width])
        return
    short = np.empty(count * width, np.uint16)
    for c in range(channels):
        bits = band[c].reshape(-1).view(np.uint32)
        if kind == BFLOAT16:
            _bfloat16(bits, short)
        else:
            _float16(bits, short)
        if last:
            _spread(short, out16, first * width, c, channels)
        else:
            start = (c * height + first) * width
            _copy(short, out16[start : start + count * width])


@jit
def _spread(source, target, first, channel, channels):
    into = target[first * channels + channel :]
    for k in range(source.shape[0]):
        into[k * channels] = source[k]


@jit
def _bfloat16(bits, short):
    """To the nearest, ties to even; values are finite."""
    for k in range(short.shape[0]):
        b = bits[k]
        short[k] = np.uint16((b + np.uint32(0x7FFF) + ((b >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16))


@jit
def _float16(bits, short):
    """To the nearest, ties to even; below 2^-14 by steps of 2^-24, from 65520 on infinite."""
    for k in range(short.shape[0]):
        sign = (bits[k] >> np.uint32(16)) & np.uint32(0x8000)
        b = bits[k] & np.uint32(0x7FFFFFFF)
        normal = (b - np.uint32(0x38000000) + np.uint32(0xFFF) + ((b >> np.uint32(13)) & np.uint32(1))) >> np.uint32(13)
        exponent = b >> np.uint32(23)
        shift = min(np.uint32(126) - min(exponent, np.uint32(126)), np.uint32(31))
        mantissa = (b & np.uint32(0x7FFFFF)) | np.uint32(0x800000)
        kept = mantissa >> shift
        half, rest = np.uint32(1) << (shift - np.uint32(1) if shift > 0 else np.uint32(0)), mantissa - (kept << shift)
        up = (rest > half) | ((rest == half) & ((kept & np.uint32(1)) == np.uint32(1)))
        small = kept + (np.uint32(1) if up else np.uint32(0))
        found = small if b < np.uint32(0x38800000) else normal
        found = np.uint32(0x7C00) if b >= np.uint32(0x477FF000) else found
        short[k] = np.uint16(sign | found)
