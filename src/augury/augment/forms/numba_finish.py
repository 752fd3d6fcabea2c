"""The numba back end's last step of a chain: finished pixels to what the network reads, written once.

Normalised, with the boxes that are painted on values and the other image of a mix, in float32, bfloat16 or float16, channels
before or after rows and columns.
"""

import numpy as np

from augury.augment.forms.numba_far import landed, streamed, streamed_mix, streamed_values
from augury.augment.forms.numba_parts import (
    ROWS,
    START,
    copied,
    mixed_levels,
    mixed_pixels,
    mixed_values,
    normalised,
    painted,
    spliced,
)
from augury.augment.forms.numba_wide import interleaved
from augury.augment.forms.records import BFLOAT16, BOX, CONTENT, FLOAT32, FORM, GRID, KEEP, PAINT, PARTNER, PATTERN, UINT8
from augury.augment.forms.region import Content
from augury.core.jit import jit, leaf, merged

OTHER = int(Content.PARTNER)
REGION, MIX = 3, 4  # positions in FORMS
BAND = 4096  # values of a channel that are taken together: with both images of a mix they stay in a near cache


@jit
def finish(work, place, base, whole, real, joint, scale, shift, kind, last, far, out8, out16, out32, start, stop):
    """Rows start..stop of a batch, whose finished pixels are uint8 work[place[row - base]], to values or pixels of `kind`.

    whole, real: [B,S,...], slots that are painted on values; `joint`, the last one or -1, reads the other image. scale, shift:
    float32 [C], where pixels become values. last: whether channels come last. far: whether the result is too large for caches.
    out8, out16, out32: [B, C*H*W], of which the one for `kind` counts.
    """
    _, channels, height, width = work.shape
    rows = max(1, min(height, BAND // width)) if kind != UINT8 else 0
    hashes = np.empty((ROWS, width // 8 + 2), np.uint64)
    bands = np.empty((2, channels, rows, width), np.float32)
    short = np.empty((2, channels * rows * width), np.uint16)
    scratch = np.empty((channels, height if kind == UINT8 and last else rows, width), np.uint8)
    for i in range(start, stop):
        own, other = work[place[i - base]], whole[i, joint, PARTNER] if joint >= 0 else i
        theirs = work[place[other - base]]
        if kind != UINT8:
            finish_values(
                own, theirs, whole[i], real[i], whole[other], real[other], joint, scale, shift, kind, last, far,
                out16[i], out32[i], bands, short, scratch, hashes,
            )  # fmt: skip
        elif last:
            finish_pixels(own, theirs, whole[i], real[i], joint, scratch, hashes)
            _channels_last(scratch, height, out8[i], START)
        else:
            finish_pixels(own, theirs, whole[i], real[i], joint, out8[i].reshape(channels, height, width), hashes)
    if far:
        landed()


@merged
def _channels_last(image, count, into, at):
    """`count` rows of [C,n,W] into a flat array from `at` on, with channels last."""
    channels = image.shape[0]
    if channels == 3:
        interleaved(image[0, :count].reshape(-1), image[1, :count].reshape(-1), image[2, :count].reshape(-1), into, at)
        return
    for c in range(channels):
        flat = image[c, :count].reshape(-1)
        for k in range(flat.shape[0]):
            into[at + k * channels + c] = flat[k]


@merged
def finish_pixels(own, other, whole, real, joint, out, hashes):
    """uint8 [C,H,W] as it is, or with its box or share of the other image."""
    if joint >= 0 and whole[joint, FORM] == MIX:
        mixed_pixels(own.reshape(-1), other.reshape(-1), out.reshape(-1), np.float32(real[joint, KEEP]))
    elif joint >= 0 and whole[joint, FORM] == REGION and whole[joint, CONTENT] == OTHER:
        spliced(own, other, out, whole[joint, BOX : BOX + 4])
    else:
        copied(own.reshape(-1), out.reshape(-1))
        if joint >= 0 and whole[joint, FORM] == REGION:
            _painted(out, START, out.shape[1], whole[joint], np.uint8(np.int64(real[joint, PAINT])), hashes)


@merged
def finish_values(
    own, other, whole, real, other_whole, other_real, joint,
    scale, shift, kind, last, far, out16, out32, bands, short, pixels, hashes,
):  # fmt: skip
    """Finished uint8 [C,H,W] to values. Slots are painted on values; `joint` (or -1) reads the other image, whose own slots are
    other_whole and other_real. last: whether channels come last. out16, out32: flat, one of them counts.
    bands: float32 [2,C,rows,W], short: uint16 [2,C*rows*W] and pixels: uint8 [C,rows,W] are scratch."""
    channels, height, width = own.shape
    direct = kind == FLOAT32 and not last and not far
    if direct and joint < 0:
        _whole_image(own.reshape(-1), out32, scale, shift)
        if not _bare(whole, joint, START, height):
            _boxes(out32.reshape(channels, height, width), START, height, whole, real, joint, hashes)
        return
    theirs, rows = bands[1], bands.shape[2]
    direct = direct and rows == height
    band = out32.reshape(channels, height, width) if direct else bands[0]
    for first in range(0, height, rows):
        count = min(rows, height - first)
        mixes = joint >= 0 and whole[joint, FORM] == MIX
        bare = _bare(whole, joint, first, count) and (joint < 0 or _bare(other_whole, joint, first, count))
        if bare and far and kind == FLOAT32 and not last and _streamed(
            own, other, first, count, whole, real, joint, scale, shift, pixels, out32
        ):  # fmt: skip
            continue
        if mixes and bare:
            _mixed(own, other, band, first, count, scale, shift, np.float32(real[joint, KEEP]))
        else:
            _values(own, band, first, count, START, width, whole, real, joint, scale, shift, hashes)
            if joint >= 0:
                _joined(
                    other, band, theirs, first, count, whole[joint], real[joint], other_whole, other_real, joint,
                    scale, shift, hashes,
                )  # fmt: skip
        if direct:
            continue
        if kind == FLOAT32:
            _emitted(band, first, count, height, last, far, theirs.reshape(-1), out32)
        else:
            shorts = short[0].reshape(channels, rows, width)
            for c in range(channels):
                flat, into = band[c, :count].reshape(-1), shorts[c, :count].reshape(-1)
                if kind == BFLOAT16:
                    _bfloat16(flat.view(np.uint32), into)
                else:
                    _float16(flat.view(np.uint32), into)
            _emitted(shorts, first, count, height, last, far, short[1], out16)


@leaf
def _bare(whole, joint, first, count):
    """Whether no slot but `joint` paints on these rows."""
    for s in range(whole.shape[0]):
        if s != joint and whole[s, FORM] == REGION and whole[s, BOX] < first + count and whole[s, BOX + 2] > first:
            return False
    return True


@leaf
def _streamed(own, other, first, count, whole, real, joint, scale, shift, pixels, out):
    """`count` rows on which nothing is painted, written to a flat image past the caches as they are computed. False, and nothing
    written, where `joint` paints: its values are no pixels."""
    channels, height, width = own.shape
    form, box = (whole[joint, FORM], whole[joint, BOX : BOX + 4]) if joint >= 0 else (np.int64(0), whole[0, BOX : BOX + 4])
    if form == REGION and whole[joint, CONTENT] != OTHER and box[0] < first + count and box[2] > first:
        return False
    for c in range(channels):
        mine, theirs = own[c, first : first + count].reshape(-1), other[c, first : first + count].reshape(-1)
        start = (c * height + first) * width
        into = out[start : start + count * width]
        if form == MIX:
            streamed_mix(mine, theirs, into, scale[c], shift[c], np.float32(real[joint, KEEP]))
            continue
        if form == REGION and whole[joint, CONTENT] == OTHER and box[0] < first + count and box[2] > first and box[1] < box[3]:
            band, above, below = pixels[c], max(box[0] - first, 0), min(box[2] - first, count)
            copied(mine, band.reshape(-1)[: count * width])
            for y in range(above, below):
                copied(other[c, first + y, box[1] : box[3]], band[y, box[1] : box[3]])
            mine = band.reshape(-1)[: count * width]
        streamed_values(mine, into, scale[c], shift[c])
    return True


@leaf
def _mixed(own, other, band, first, count, scale, shift, share):
    """`count` rows of both images normalised and mixed, product by product as in _values and mixed_values."""
    for c in range(own.shape[0]):
        mine, theirs = own[c, first : first + count].reshape(-1), other[c, first : first + count].reshape(-1)
        mixed_levels(mine, theirs, band[c, :count].reshape(-1), scale[c], shift[c], share)


@merged
def _joined(other, band, theirs, first, count, whole, real, other_whole, other_real, joint, scale, shift, hashes):
    """A band of rows with what the slot `whole`, `real` brings from the other image, or paints over it."""
    channels, _, width = band.shape
    if whole[FORM] == MIX:
        _values(other, theirs, first, count, START, width, other_whole, other_real, joint, scale, shift, hashes)
        for c in range(channels):
            mine = band[c, :count].reshape(-1)
            mixed_values(mine, theirs[c, :count].reshape(-1), mine, np.float32(real[KEEP]))
    elif whole[FORM] == REGION and whole[CONTENT] == OTHER:
        above, below = max(whole[BOX], first), min(whole[BOX + 2], first + count)
        left, right = whole[BOX + 1], whole[BOX + 3]
        if above < below and left < right:
            _values(other, theirs, first, count, left, right, other_whole, other_real, joint, scale, shift, hashes)
            for c in range(channels):
                for y in range(above - first, below - first):
                    copied(theirs[c, y, left:right], band[c, y, left:right])
    elif whole[FORM] == REGION:
        _painted(band, first, count, whole, np.float32(real[PAINT]), hashes)


@leaf
def _whole_image(levels, into, scale, shift):
    """`normalised`, channel by channel, of a flat image: a call for every channel takes longer than 32 x 32 pixels do."""
    size = into.shape[0] // scale.shape[0]
    for c in range(scale.shape[0]):
        mine, values, by, add = levels[c * size : (c + 1) * size], into[c * size : (c + 1) * size], scale[c], shift[c]
        for k in range(size):
            values[k] = np.float32(mine[k]) * by + add


@leaf
def _values(pixels, band, first, count, left, right, whole, real, joint, scale, shift, hashes):
    """`count` rows from `first` on, columns left to right, normalised into float32 [C,n,W], with the boxes painted on values."""
    channels, _, width = band.shape
    for c in range(channels):
        if right - left == width:
            normalised(pixels[c, first : first + count].reshape(-1), band[c, :count].reshape(-1), scale[c], shift[c])
        else:
            for y in range(count):
                normalised(pixels[c, first + y, left:right], band[c, y, left:right], scale[c], shift[c])
    _boxes(band, first, count, whole, real, joint, hashes)


@leaf
def _boxes(band, first, count, whole, real, joint, hashes):
    """The boxes that slots other than `joint` paint on `count` rows from `first` on of values [C,n,W]."""
    for s in range(whole.shape[0]):
        if s != joint and whole[s, FORM] == REGION:
            _painted(band, first, count, whole[s], np.float32(real[s, PAINT]), hashes)


@leaf
def _emitted(band, first, count, height, last, far, line, out):
    """`count` rows of [C,n,W] to their places in a flat image. line: scratch of the band's size."""
    channels, _, width = band.shape
    if not last:
        for c in range(channels):
            start = (c * height + first) * width
            source, into = band[c, :count].reshape(-1), out[start : start + count * width]
            if far:
                streamed(source, into)
            else:
                copied(source, into)
        return
    start, size = first * width * channels, count * width * channels
    into, at = (line, 0) if far else (out, start)
    _channels_last(band, count, into, at)
    if far:
        streamed(line[:size], out[start : start + size])


@leaf
def _bfloat16(bits, short):
    """To the nearest, ties to even; values are finite."""
    for k in range(bits.shape[0]):
        b = bits[k]
        short[k] = np.uint16((b + np.uint32(0x7FFF) + ((b >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16))


@leaf
def _float16(bits, short):
    """To the nearest, ties to even; below 2^-14 by steps of 2^-24, from 65520 on infinite."""
    for k in range(bits.shape[0]):
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


@leaf
def _painted(band, first, count, whole, fill, hashes):
    """A slot's box painted into `count` rows from `first` on of an image, [C,n,W]."""
    painted(band, first, count, whole[CONTENT], fill, whole[PATTERN], whole[GRID : GRID + 6], whole[BOX : BOX + 4], hashes)
