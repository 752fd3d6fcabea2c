"""Separable: a weighted sum along the columns, then along the rows: resizing and blurring.

Both passes run as Pillow's resampling does: weights rounded to 22 binary digits, exact integer sums, 8 bits in between
(Pillow `Resample.c`). Integers make the result independent of summation order, device and back end. Columns come first,
as in every Pillow up to 12; later ones choose by cost, which moves triangle weights by at most one level and cubic ones,
which overshoot, by more at hard edges.
"""

import math
from enum import IntEnum
from typing import NamedTuple

import torch
from torch import Tensor

from augury.core import devices
from augury.core.errors import InputError

PRECISION_BITS = 22


class Kernel(IntEnum):
    """What the weights are."""

    TRIANGLE = 1
    CUBIC = 2
    GAUSSIAN = 3


class Separable(NamedTuple):
    """kernel: the rule of the weights, one for all rows. taps: how many weights a sum has at most.
    rows, columns: float64 [n,2]: for a resize start and end (whole pixels) of the window that fills the image; for a blur
    the standard deviation in pixels (second entry unused)."""

    kernel: Kernel
    taps: int
    rows: Tensor
    columns: Tensor


def taps_of(kernel: Kernel, shrink: float) -> int:
    """How many weights a resize needs if its window is `shrink` times as long as its result (1 if it enlarges)."""
    return 2 * math.ceil((1 if kernel == Kernel.TRIANGLE else 2) * max(1.0, shrink)) + 1


def check_windows(record: Separable, size: Tensor) -> None:
    """Raises InputError unless the windows of a resize are whole pixels within the valid size (int64 [n,2]) of their images; on a
    CPU alone, where looking costs nothing."""
    if record.kernel == Kernel.GAUSSIAN or not devices.is_host(size.device):
        return
    windows, whole = torch.stack([record.rows, record.columns], 1), size[..., None].double()
    start, end = windows[..., :1], windows[..., 1:]
    if not bool(((start >= 0) & (start <= end) & (end <= whole)).all()):
        raise InputError("trace: value must give a window within the image; it is not a trace of this stage")


def weights(record: Separable, ends: Tensor, side: Tensor, target: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Positions int64 [n,length,taps] and integer weights float64 of the sums along one axis."""
    if record.kernel == Kernel.GAUSSIAN:
        return _blur(record.taps, ends[:, 0], side, length)
    place = torch.arange(length, device=ends.device, dtype=torch.float64)
    scale = ((ends[:, 1] - ends[:, 0]) / target.clamp(min=1))[:, None]
    stretch = scale.clamp(min=1)
    support = stretch if record.kernel == Kernel.TRIANGLE else 2 * stretch
    centre = ends[:, :1] + (place + 0.5) * scale
    # As Pillow resizes a crop: pixels beside the window are not read.
    first = torch.maximum((centre - support + 0.5).floor(), ends[:, :1])
    end = torch.minimum((centre + support + 0.5).floor(), ends[:, 1:])
    tap = torch.arange(record.taps, device=ends.device, dtype=torch.float64)
    position = first[..., None] + tap
    distance = ((position - centre[..., None] + 0.5) / stretch[..., None]).abs()
    shape = (1 - distance).clamp(min=0) if record.kernel == Kernel.TRIANGLE else _cubic(distance)
    weight = torch.where(position < end[..., None], shape, 0.0)
    return position.to(torch.int64), _fixed(weight)


def _blur(taps: int, sigma: Tensor, side: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """The border is mirrored without repeating its pixel, as torchvision's gaussian_blur does."""
    offset = torch.arange(taps, device=sigma.device) - taps // 2
    weight = (-0.5 * (offset.double() / sigma[:, None].clamp(min=1e-6)) ** 2).exp()
    position = (torch.arange(length, device=sigma.device)[:, None] + offset).expand(len(sigma), length, taps)
    turn = (2 * (side - 1)).clamp(min=1)[:, None, None]
    position = torch.minimum(position % turn, (turn - position % turn) % turn)
    return position, _fixed(weight)[:, None].expand(-1, length, -1)


def _cubic(x: Tensor) -> Tensor:
    """Keys' kernel with a = -0.5, Pillow's BICUBIC."""
    a = -0.5
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))


def _fixed(weight: Tensor) -> Tensor:
    """Normalised to sum 1, then rounded to PRECISION_BITS; summed tap by tap, since a reduction's order may vary."""
    total = weight[..., 0]
    for k in range(1, weight.shape[-1]):
        total = total + weight[..., k]
    share = weight / torch.where(total == 0, 1.0, total)[..., None] * (1 << PRECISION_BITS)
    return (share + torch.where(share < 0, -0.5, 0.5)).trunc()


def weighted(images: Tensor, position: Tensor, weight: Tensor, dim: int) -> Tensor:
    """Sums along `dim` (2 or 3) of images uint8 [n,C,H,W], rounded and clipped to 8 bits.

    position int64 and weight float64 (whole numbers, which float64 sums exactly) are [n, length, taps].
    """
    shape = list(images.shape)
    last, shape[dim] = shape[dim] - 1, position.shape[1]
    total = torch.full(shape, float(1 << (PRECISION_BITS - 1)), dtype=torch.float64, device=images.device)
    line = (slice(None), None, None) if dim == 3 else (slice(None), None, slice(None), None)
    for k in range(weight.shape[-1]):
        index = position[..., k].clamp(0, last)[line].expand(shape)
        total += images.gather(dim, index) * weight[..., k][line]
    return (total / (1 << PRECISION_BITS)).floor().clamp(0, 255).to(torch.uint8)
