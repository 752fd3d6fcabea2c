"""Displace: every pixel is read at a position of its own, for operations that move pixels by different amounts."""

from collections.abc import Sequence

import torch
from torch import Tensor

from augury.augment.forms.region import places
from augury.core.noise import hashed


def displaced(images: Tensor, row: Tensor, column: Tensor, size: Tensor) -> Tensor:
    """uint8 [n,C,H,W] read bilinearly at row, column (float64 [n,H,W], pixel indices); the border pixel is repeated,
    as the skimage functions of TANDA do with mode "edge". What lies outside the valid size stays."""
    height, width = images.shape[-2:]
    rows, columns = size[:, 0, None, None], size[:, 1, None, None]
    row = torch.minimum(row.clamp(min=0), (rows - 1).clamp(min=0).double())
    column = torch.minimum(column.clamp(min=0), (columns - 1).clamp(min=0).double())
    top, left = row.floor(), column.floor()
    dy, dx = (row - top)[:, None], (column - left)[:, None]

    def read(y: Tensor, x: Tensor) -> Tensor:
        y = torch.minimum(y.to(torch.int64), rows - 1).clamp(0, max(height - 1, 0))
        x = torch.minimum(x.to(torch.int64), columns - 1).clamp(0, max(width - 1, 0))
        index = (y * width + x).reshape(len(images), 1, height * width).expand(-1, images.shape[1], -1)
        return images.flatten(2).gather(2, index).reshape(images.shape).double()

    upper = read(top, left) * (1 - dx) + read(top, left + 1) * dx
    lower = read(top + 1, left) * (1 - dx) + read(top + 1, left + 1) * dx
    moved = (upper * (1 - dy) + lower * dy + 0.5).floor().clamp(0, 255).to(torch.uint8)
    y = torch.arange(height, device=images.device)[:, None]
    x = torch.arange(width, device=images.device)
    return torch.where(((y < rows) & (x < columns))[:, None], moved, images)


def smooth_field(key: Tensor, weights: Sequence[float], height: int, width: int) -> Tensor:
    """float64 [n,2,H,W]: uniform noise in [-1, 1), a pure function of `key` (int64 [n]) and place, as a sum over its neighbours
    by `weights` (an odd number of them) down each column, then along each row; the noise does not end at the border."""
    wider = len(weights) - 1
    place = places(2, height + wider, width + wider, key.device)
    noise = ((hashed(key[:, None], place) >> 40) & 0xFFFFFF).double() * 2.0**-23 - 1
    noise = noise.reshape(len(key), 2, height + wider, width + wider)
    return _smoothed(_smoothed(noise, weights, 2), weights, 3)


def _smoothed(field: Tensor, weights: Sequence[float], dim: int) -> Tensor:
    length = field.shape[dim] - len(weights) + 1
    total = field.narrow(dim, 0, length) * weights[0]
    for k, weight in enumerate(weights[1:], start=1):
        total = total + field.narrow(dim, k, length) * weight
    return total
