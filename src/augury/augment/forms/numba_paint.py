"""The numba back end's boxes: constants, noise and grids painted into rows of an image, pixels or normalised values."""

import numpy as np

from augury.augment.forms.numba_space import ROWS
from augury.augment.forms.records import BOX, CONTENT, GRID, PATTERN
from augury.augment.forms.region import Content
from augury.core.hash_numba import GOLDEN, mixed
from augury.core.jit import leaf

CONSTANT, NOISE, GRIDS = int(Content.CONSTANT), int(Content.NOISE), int(Content.GRID)


@leaf
def paint(band, first, count, whole, fill, integer, space):
    """A slot's box painted into `count` rows from `first` on of an image, [C,n,W]; what another image brings is left alone."""
    kind = whole[CONTENT]
    channels = band.shape[0]
    top, left, bottom, right = whole[BOX], whole[BOX + 1], whole[BOX + 2], whole[BOX + 3]
    above, below = max(top, first), min(bottom, first + count)
    if below <= above or right <= left:
        return
    if kind == CONSTANT:
        for c in range(channels):
            for y in range(above - first, below - first):
                _filled(band[c, y, left:right], fill)
    elif kind == NOISE:
        start = mixed(np.uint64(whole[PATTERN]) + GOLDEN)
        for c in range(channels):
            _noise(band[c], first, above, left, below, right, start, c, space.hashes, integer)
    elif kind == GRIDS:
        _grid(band, first, above, below, whole, fill)


@leaf
def _filled(into, fill):
    for x in range(into.shape[0]):
        into[x] = fill


@leaf
def _noise(plane, first, top, left, bottom, right, start, channel, hashes, integer):
    """Noise by augury.core.noise.hashed, whose hash holds a level per byte, the lowest first, for eight neighbours. `hashes` is
    scratch for some rows: bytes that were just written in eights are slow to read in other pieces."""
    scale, eighth = np.float32(12**0.5 / 256), left >> 3
    count, several = ((right + 7) >> 3) - eighth, ROWS
    for begin in range(top, bottom, several):
        for y in range(begin, min(begin + several, bottom)):
            line = hashes[y - begin]
            at = start + np.uint64((channel << 40) | (y << 20) | eighth) * GOLDEN  # neighbours' numbers follow each other
            for k in range(count):
                line[k] = mixed(at)
                at += GOLDEN
        for y in range(begin, min(begin + several, bottom)):
            levels, into = hashes[y - begin].view(np.uint8)[left - 8 * eighth :], plane[y - first, left:right]
            if integer:
                for k in range(into.shape[0]):
                    into[k] = levels[k]
            else:
                for k in range(into.shape[0]):
                    into[k] = (np.float32(levels[k]) - np.float32(127.5)) * scale


@leaf
def _grid(band, first, above, below, whole, fill):
    period, size, down, across = whole[GRID], whole[GRID + 1], whole[GRID + 2], whole[GRID + 3]
    cosine, sine = whole[GRID + 4], whole[GRID + 5]
    top, left, bottom, right = whole[BOX], whole[BOX + 1], whole[BOX + 2], whole[BOX + 3]
    for y in range(above, below):
        yy = 2 * y + 1 - top - bottom
        for x in range(left, right):
            xx = 2 * x + 1 - left - right
            row = ((yy * cosine - xx * sine) >> 17) + down
            column = ((xx * cosine + yy * sine) >> 17) + across
            if row % period >= size and column % period >= size:
                for c in range(band.shape[0]):
                    band[c, y - first, x] = fill
