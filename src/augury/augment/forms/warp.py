"""Warp: every output pixel reads the input at an affine map of its position; Pillow's arithmetic exactly.

Pillow has three paths, all reproduced: nearest with a general matrix runs in 16.16 fixed point; nearest without rotation
or shear (a flip, a translation, a scale) has one table per axis, accumulated in double precision; bilinear runs in double
precision with a hard border and truncates (Pillow `Geometry.c`).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from augury.core import devices


class Warp(NamedTuple):
    """matrix: float64 [n,6], output to input, pixel centres at one half, as Pillow's AFFINE data. bilinear: bool [n].
    fill: float32 [n], what lies outside."""

    matrix: Tensor
    bilinear: Tensor
    fill: Tensor


def warp(images: Tensor, record: Warp, size: Tensor) -> Tensor:
    """images uint8 [n,C,H,W] warped row by row; only the valid `size` (int64 [n,2]) is read, the rest counts as outside."""
    if not devices.is_host(images.device):
        near = _nearest(images, record, size)
        return torch.where(record.bilinear[:, None, None, None], _bilinear(images, record, size), near)
    result = torch.empty_like(images)
    straight = (record.matrix[:, 1] == 0) & (record.matrix[:, 3] == 0) & ~record.bilinear
    for mask, path in ((record.bilinear, _bilinear), (straight, _straight), (~record.bilinear & ~straight, _general)):
        rows = mask.nonzero()[:, 0]
        if len(rows):
            result[rows] = path(images[rows], Warp(*(part[rows] for part in record)), size[rows])
    return result


def nearest_index(matrix: Tensor, size: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """int64 [n,H,W] and bool [n,H,W]: which pixel, row * W + column, a nearest-pixel warp reads for each, if it reads one.

    matrix: float64 [n,6], as of a Warp; what a nearest warp of an image reads is exactly this.
    """
    straight = ((matrix[:, 1] == 0) & (matrix[:, 3] == 0))[:, None, None]
    both = zip(_straight_index(matrix, size, height, width), _general_index(matrix, size, height, width), strict=True)
    index, inside = (torch.where(straight, *parts) for parts in both)
    return index, inside


def _nearest(images: Tensor, record: Warp, size: Tensor) -> Tensor:
    return _gather(images, *nearest_index(record.matrix, size, *images.shape[-2:]), record.fill)


def _general(images: Tensor, record: Warp, size: Tensor) -> Tensor:
    return _gather(images, *_general_index(record.matrix, size, *images.shape[-2:]), record.fill)


def _general_index(matrix: Tensor, size: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    def fixed(value: Tensor) -> Tensor:
        return (value * 65536.0 + 0.5).floor().to(torch.int64)

    x = torch.arange(width, device=matrix.device)
    y = torch.arange(height, device=matrix.device)[:, None]
    start_x = fixed(matrix[:, 2] + matrix[:, 0] * 0.5 + matrix[:, 1] * 0.5)
    start_y = fixed(matrix[:, 5] + matrix[:, 3] * 0.5 + matrix[:, 4] * 0.5)
    a, b, _, d, e, _ = (fixed(matrix[:, k])[:, None, None] for k in range(6))
    column = (start_x[:, None, None] + x * a + y * b) >> 16
    row = (start_y[:, None, None] + x * d + y * e) >> 16
    inside = (column >= 0) & (column < size[:, 1, None, None]) & (row >= 0) & (row < size[:, 0, None, None])
    return row.clamp(0, height - 1) * width + column.clamp(0, width - 1), inside


def _straight(images: Tensor, record: Warp, size: Tensor) -> Tensor:
    return _gather(images, *_straight_index(record.matrix, size, *images.shape[-2:]), record.fill)


def _straight_index(matrix: Tensor, size: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    column = _accumulated(matrix[:, 2], matrix[:, 0], width)
    row = _accumulated(matrix[:, 5], matrix[:, 4], height)
    inside_x = (column >= 0) & (column < size[:, 1:])
    inside_y = (row >= 0) & (row < size[:, :1])
    index = row.clamp(0, height - 1)[:, :, None] * width + column.clamp(0, width - 1)[:, None, :]
    return index, inside_y[:, :, None] & inside_x[:, None, :]


def _accumulated(offset: Tensor, step: Tensor, count: int) -> Tensor:
    """Source positions along one axis, summed one step at a time as Pillow does: products would round differently."""
    steps = step[:, None].repeat(1, count)
    if count:
        steps[:, 0] = offset + step * 0.5
    return _running_sum(steps).floor().clamp(-1, 2**31).to(torch.int64)


def _running_sum(steps: Tensor) -> Tensor:
    """The sums along the rows of float64 [n,count], one after the other: CUDA adds an inner dimension up as a tree and only an
    outer one of at least two columns in order."""
    if devices.is_host(steps.device):
        return steps.cumsum(1)
    return torch.cat([steps, steps[:1]]).t().contiguous().cumsum(0)[:, : len(steps)].t()


def _gather(images: Tensor, index: Tensor, inside: Tensor, fill: Tensor) -> Tensor:
    n, channels, height, width = images.shape
    flat = index.reshape(n, 1, height * width).expand(n, channels, height * width)
    moved = images.reshape(n, channels, height * width).gather(2, flat).reshape(images.shape)
    return torch.where(inside[:, None], moved, fill.to(images.dtype)[:, None, None, None])


def _bilinear(images: Tensor, record: Warp, size: Tensor) -> Tensor:
    height, width = images.shape[-2:]
    matrix = record.matrix[:, :, None, None]
    x = torch.arange(width, device=images.device, dtype=torch.float64) + 0.5
    y = (torch.arange(height, device=images.device, dtype=torch.float64) + 0.5)[:, None]
    u = matrix[:, 0] * x + matrix[:, 1] * y + matrix[:, 2]
    v = matrix[:, 3] * x + matrix[:, 4] * y + matrix[:, 5]
    high, wide = size[:, 0, None, None], size[:, 1, None, None]
    inside = (u >= 0) & (u < wide) & (v >= 0) & (v < high)
    u, v = u - 0.5, v - 0.5
    left, top = u.floor(), v.floor()
    dx, dy = (u - left)[:, None], (v - top)[:, None]

    def read(row: Tensor, column: Tensor) -> Tensor:
        row = torch.minimum(row.to(torch.int64).clamp(min=0), high - 1)
        column = torch.minimum(column.to(torch.int64).clamp(min=0), wide - 1)
        return _gather(images, (row * width + column).clamp(0, height * width - 1), inside, record.fill).double()

    upper, lower = read(top, left), read(top + 1, left)
    upper = upper + (read(top, left + 1) - upper) * dx
    lower = lower + (read(top + 1, left + 1) - lower) * dx
    value = (upper + (lower - upper) * dy).to(images.dtype)
    return torch.where(inside[:, None], value, record.fill.to(images.dtype)[:, None, None, None])
