"""Blend: interpolates between a degenerate image, grey (color) or smoothed (sharpness), and the image, or extrapolates."""

from enum import IntEnum
from typing import NamedTuple

import torch
from torch import Tensor

from augury.augment.forms.histogram import grey
from augury.augment.forms.table import blended
from augury.core import devices


class Degenerate(IntEnum):
    """What is blended with; the number is what back ends see."""

    NONE = 0
    GREY = 1
    SMOOTH = 2


class Blend(NamedTuple):
    """degenerate: int64 [n]. factor: float32 [n]; 0 is the degenerate image, 1 the image."""

    degenerate: Tensor
    factor: Tensor


def blend(images: Tensor, record: Blend, size: Tensor) -> Tensor:
    """images uint8 [n,C,H,W] blended with their degenerate images, bit-identical to Pillow's ImageEnhance."""
    result = images.clone()
    for kind, make in ((Degenerate.GREY, _grey), (Degenerate.SMOOTH, smooth)):
        mask = record.degenerate == int(kind)
        if devices.is_host(images.device):
            rows = mask.nonzero()[:, 0]
            if len(rows):
                result[rows] = _blended(images[rows], make(images[rows], size[rows]), record.factor[rows])
        else:
            done = _blended(images, make(images, size), record.factor)
            result = torch.where(mask[:, None, None, None], done, result)
    return result


def _blended(images: Tensor, degenerate: Tensor, factor: Tensor) -> Tensor:
    return blended(degenerate.to(torch.float32), images.to(torch.float32), factor[:, None, None, None])


def _grey(images: Tensor, size: Tensor) -> Tensor:
    return grey(images).expand_as(images)


def smooth(images: Tensor, size: Tensor) -> Tensor:
    """Pillow's SMOOTH filter: (3x3 sum + 4 x centre + 6) // 13 in integers, which no rounding can flip; the border of the
    valid area is copied, and an image under 3 pixels a side comes back unchanged."""
    height, width = images.shape[-2:]
    if height < 3 or width < 3:
        return images
    wide = images.to(torch.int32)
    rows = wide[:, :, :-2] + wide[:, :, 1:-1] + wide[:, :, 2:]
    box = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    inner = (box + 4 * wide[:, :, 1:-1, 1:-1] + 6) // 13
    result = images.clone()
    result[:, :, 1:-1, 1:-1] = inner.to(torch.uint8)
    y = torch.arange(height, device=images.device)[:, None]
    x = torch.arange(width, device=images.device)
    inside = (y < size[:, 0, None, None] - 1) & (x < size[:, 1, None, None] - 1)
    return torch.where(inside[:, None], result, images)
