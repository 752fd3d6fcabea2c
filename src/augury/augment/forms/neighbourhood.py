"""Neighbourhood: the darkest or brightest pixel around each pixel."""

from dataclasses import dataclass

import torch
from torch import Tensor

from augury.core import devices

MOST_PIXELS = 15


@dataclass(frozen=True)
class Neighbourhood:
    """Which pixels around a pixel are compared, and which of them is picked.

    brightest: the brightest is picked, or else the darkest. square: all pixels of a square, or those of its middle row and column.
    after: a neighbourhood of even width reaches one pixel further after the pixel (to the right and down), or before it.
    """

    brightest: bool
    square: bool
    after: bool

    @property
    def outside(self) -> int:
        """The value beyond the border, which is never picked."""
        return 0 if self.brightest else 255


def extreme(images: Tensor, width: Tensor, size: Tensor, around: Neighbourhood) -> Tensor:
    """uint8 [n,C,H,W]: the pick from neighbourhoods of `width` (int64 [n], 1..MOST_PIXELS) pixels; what lies outside the valid
    size stays."""
    wide = width[:, None, None, None]
    y = torch.arange(images.shape[-2], device=images.device)[:, None]
    x = torch.arange(images.shape[-1], device=images.device)
    valid = ((y < size[:, 0, None, None]) & (x < size[:, 1, None, None]))[:, None]
    inside = torch.where(valid, images, around.outside)
    rows = _along(inside, wide, 2, around)
    found = _along(rows, wide, 3, around) if around.square else rows
    if not around.square:
        found = _picked(rows, _along(inside, wide, 3, around), around)
    return torch.where(valid, found, images)


def _picked(one: Tensor, other: Tensor, around: Neighbourhood) -> Tensor:
    return torch.maximum(one, other) if around.brightest else torch.minimum(one, other)


def _along(images: Tensor, width: Tensor, dim: int, around: Neighbourhood) -> Tensor:
    result, length = images, images.shape[dim]
    longer = 1 if around.after else -1
    most = int(width.max()) if devices.is_host(images.device) and len(images) else MOST_PIXELS
    for reach in range(1, most // 2 + 1):
        for shift, wanted in ((longer * reach, width >= 2 * reach), (-longer * reach, width >= 2 * reach + 1)):
            if reach >= length:
                continue
            edge = torch.full_like(images.narrow(dim, 0, reach), around.outside)
            inner = images.narrow(dim, 0, length - reach) if shift < 0 else images.narrow(dim, reach, length - reach)
            moved = torch.cat([edge, inner] if shift < 0 else [inner, edge], dim)
            result = torch.where(wanted, _picked(result, moved, around), result)
    return result
