"""The size of images where nobody names one: as they are where they are small, else the largest usual side that time justifies."""

from collections import Counter
from collections.abc import Sequence

import torch

from augury.train.data.resize import Size

SIDES = (224, 128, 64, 32)
# Images whose shorter side is no longer than this are left at their size.
SMALL = 64
# Pixels that a small network trains in about a minute: an epoch of more of them is what nobody asked for.
PIXELS = {"cpu": 180_000_000, "cuda": 10_000_000_000}


def default_size(sizes: Sequence[Size], leading: Sequence[Size]) -> Size:
    """What images of these sizes (rows, columns) are brought to.

    leading: the sizes of the training part. Small images of one size stay as they are; of several sizes, the shorter side of the
    most common one counts.
    """
    if len(set(sizes)) == 1 and min(sizes[0]) <= SIDES[0]:
        common = sizes[0]
    else:
        # Ties go to the larger size, so that the order of files does not decide.
        _, common = max((number, size) for size, number in Counter(leading or sizes).items())
        common = (min(common), min(common))
    if min(common) <= SMALL:
        return common
    most = PIXELS["cuda" if torch.cuda.is_available() else "cpu"] / max(1, len(sizes))
    if len(set(sizes)) == 1 and common[0] * common[1] <= most and min(common) <= SIDES[0]:
        return common
    side = next((side for side in SIDES if side <= min(common) and side * side <= most), SIDES[-1])
    return side, side
