"""The default size of images: small images keep theirs, others get the largest usual side that the training time allows."""

from collections import Counter
from collections.abc import Sequence

import torch

from augury.train.data.resize import Size

SIDES = (224, 128, 64, 32)
# Images whose shorter side is no longer than this keep their size.
SMALL = 64
# Pixels that a small network trains on in about a minute; the default size aims for epochs of no more.
PIXELS = {"cpu": 180_000_000, "cuda": 10_000_000_000}


def default_size(sizes: Sequence[Size], leading: Sequence[Size]) -> Size:
    """The size (rows, columns) that images of these sizes are resized to.

    leading: the sizes of the training part. Images of one size keep it if their shorter side is at most `SMALL`, or at most 224
    while an epoch does not exceed `PIXELS`; if there are several sizes, the shorter side of the most common one decides.
    """
    if len(set(sizes)) == 1 and min(sizes[0]) <= SIDES[0]:
        common = sizes[0]
    else:
        # Ties go to the larger size, so that the order of the files does not matter.
        _, common = max((number, size) for size, number in Counter(leading or sizes).items())
        common = (min(common), min(common))
    if min(common) <= SMALL:
        return common
    most = PIXELS["cuda" if torch.cuda.is_available() else "cpu"] / max(1, len(sizes))
    if len(set(sizes)) == 1 and common[0] * common[1] <= most and min(common) <= SIDES[0]:
        return common
    side = next((side for side in SIDES if side <= min(common) and side * side <= most), SIDES[-1])
    return side, side
