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
def mix_pixels(images, others, out, partner, keep, start, stop):
    """Weighted sums of uint8 [B,C,H,W] with rows of `others`, product by product as in PyTorch."""
    for i in range(start, stop):
        mixed_pixels(images[i].reshape(-1), others[partner[i]].reshape(-1), out[i].reshape(-1), keep[i])


@jit
def mix_values(images, others, out, partner, keep, start, stop):
    """The same of float32 [B,C,H,W]."""
    for i in range(start, stop):
        mixed_values(images[i].reshape(-1), others[partner[i]].reshape(-1), out[i].reshape(-1), keep[i])


@jit
def cut(images, out, rows, box):
    for i in range(out.shape[0]):
        top, left, bottom, right = box[i, 0], box[i, 1], box[i, 2], box[i, 3]
        image, piece = images[rows[i]], out[i]
        for c in range(out.shape[1]):
            for y in range(top, bottom):
                copied(image[c, y, left:right], piece[c, y - top, : right - left])


@jit
def paste(out, pieces, corner, size, on, order):
    _, channels, height, width = out.shape
    for i in range(out.shape[0]):
        for turn in range(order.shape[1]):
            k = order[i, turn]
            if not on[i, k]:
                continue
            top, left, rows, columns = corner[i, k, 0], corner[i, k, 1], size[i, k, 0], size[i, k, 1]
            image, piece = out[i], pieces[i, k]
            first, last = max(left, 0), min(left + columns, width)
            if last <= first:
                continue
            for c in range(channels):
                for y in range(max(top, 0), min(top + rows, height)):
                    copied(piece[c, y - top, first - left : last - left], image[c, y, first:last])
