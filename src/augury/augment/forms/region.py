"""Region: a box of each image is replaced, by a constant or by the same place of another sample."""

from enum import IntEnum
from typing import NamedTuple

import torch
from torch import Tensor


class Content(IntEnum):
    """What goes into the box; the number is what back ends see."""

    NONE = 0
    CONSTANT = 1
    PARTNER = 2


class Region(NamedTuple):
    """content: int64 [n]. fill: float32 [n], for constants."""

    content: Tensor
    fill: Tensor


def clipped(top: Tensor, left: Tensor, height: Tensor, width: Tensor, size: Tensor) -> Tensor:
    """int64 [n,4]: top, left, bottom, right (the last two exclusive) of a box, cut at the image's border."""
    zero = torch.zeros_like(top)
    bottom = torch.minimum((top + height).clamp(min=0), size[:, 0])
    right = torch.minimum((left + width).clamp(min=0), size[:, 1])
    return torch.stack([torch.maximum(top, zero), torch.maximum(left, zero), bottom, right], 1)


def inside(box: Tensor, height: int, width: int) -> Tensor:
    """bool [n,H,W]: which pixels lie in the box."""
    y = torch.arange(height, device=box.device)[:, None]
    x = torch.arange(width, device=box.device)
    top, left, bottom, right = (box[:, k, None, None] for k in range(4))
    return (y >= top) & (y < bottom) & (x >= left) & (x < right)


def kept_share(box: Tensor, size: Tensor) -> Tensor:
    """float32 [n]: the share of the image outside the box, from the exact clipped area."""
    height = (box[:, 2] - box[:, 0]).clamp(min=0)
    width = (box[:, 3] - box[:, 1]).clamp(min=0)
    area = (size[:, 0] * size[:, 1]).clamp(min=1)
    return (1 - (height * width).double() / area).to(torch.float32)


def region(images: Tensor, record: Region, box: Tensor, others: Tensor) -> Tensor:
    """images [n,C,H,W], uint8 or float, with their boxes filled; `others` has each row's partner image."""
    mask = inside(box, *images.shape[-2:])[:, None]
    content = record.content[:, None, None, None]
    constant = record.fill.to(images.dtype)[:, None, None, None]
    filled = torch.where(mask & (content == Content.CONSTANT), constant, images)
    return torch.where(mask & (content == Content.PARTNER), others, filled)
