"""The numba back end's kernels that read another image: regions, mixes, and InAugment's patches."""

import numpy as np

from augury.augment.forms.numba_parts import ROWS, START, copied, mixed_pixels, mixed_values, painted, spliced
from augury.augment.forms.region import Content
from augury.core.jit import jit

PARTNER = int(Content.PARTNER)


@jit
def regions(images, out, partner, content, fill, pattern, grid, box, here, start, stop):
    """Rows start..stop of the images with their boxes filled, into `out`; partners are read from `images`.

    here: `out` is `images`, so that boxes alone are written; no image may read another then.
    """
    _, _, height, width = images.shape
    hashes = np.empty((ROWS, width // 8 + 2), np.uint64)
    for i in range(start, stop):
        if content[i] == PARTNER:
            spliced(images[i], images[partner[i]], out[i], box[i])
        else:
            if not here:
                copied(images[i].reshape(-1), out[i].reshape(-1))
            painted(out[i], START, height, content[i], fill[i], pattern[i], grid[i], box[i], hashes)


@jit
def mix(images, others, out, partner, keep, start, stop):
    """Weighted sums with rows of `others`, product by product as in PyTorch."""
    for i in range(start, stop):
        own, other, into = images[i].reshape(-1), others[partner[i]].reshape(-1), out[i].reshape(-1)
        if out.itemsize == 1:  # pixels
            mixed_pixels(own, other, into, keep[i])
        else:
            mixed_values(own, other, into, keep[i])


@jit
def cut(images, out, rows, box):
    for i in range(out.shape[0]):
        top, left, bottom, right = box[i]
        for c in range(out.shape[1]):
            for y in range(top, bottom):
                copied(images[rows[i], c, y, left:right], out[i, c, y - top, : right - left])


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
                    copied(pieces[i, k, c, y - top, first - left : last - left], out[i, c, y, first:last])
