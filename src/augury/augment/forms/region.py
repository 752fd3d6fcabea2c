"""Region: replaces a box, or a grid of squares in it, by a constant, noise or another sample."""

from enum import IntEnum
from typing import NamedTuple

import torch
from torch import Tensor

from augury.core.noise import hashed


class Content(IntEnum):
    """What goes into the box; the number is what back ends see."""

    NONE = 0
    CONSTANT = 1
    PARTNER = 2
    NOISE = 3
    GRID = 4


class Region(NamedTuple):
    """content: int64 [n]. fill: float32 [n], for constants. pattern: int64 [n], which noise.

    grid: int64 [n,6], for Content.GRID: period and band in pixels, offset of rows and columns, cosine and sine of the
    turn in 16.16 fixed point, so that every back end finds the same squares.
    """

    content: Tensor
    fill: Tensor
    pattern: Tensor
    grid: Tensor


NO_GRID = (2, 1, 0, 0, 65536, 0)


def clipped(corner: Tensor, extent: Tensor, size: Tensor) -> Tensor:
    """int64 [n,4]: top, left, bottom, right (the last two exclusive) of a box, clipped at the image's border.

    corner: its top left; extent: its rows and columns (both int64 [n,2]). A box outside the image is empty and lies on its border.
    """
    last = torch.minimum((corner + extent).clamp(min=0), size)
    return torch.cat([torch.minimum(corner.clamp(min=0), size), last], 1)


def inside(box: Tensor, height: int, width: int) -> Tensor:
    """bool [n,H,W]: which pixels lie in the box."""
    y = torch.arange(height, device=box.device)[:, None]
    x = torch.arange(width, device=box.device)
    top, left, bottom, right = (box[:, k, None, None] for k in range(4))
    return (y >= top) & (y < bottom) & (x >= left) & (x < right)


def squares(grid: Tensor, box: Tensor, height: int, width: int) -> Tensor:
    """bool [n,H,W]: which pixels lie in the squares of a grid turned about its box's centre, outside both directions' bands."""
    top, left, bottom, end = (box[:, k, None, None] for k in range(4))
    y = 2 * torch.arange(height, device=grid.device)[:, None] + 1 - top - bottom
    x = 2 * torch.arange(width, device=grid.device) + 1 - left - end
    period, band, down, right, cosine, sine = (grid[:, k, None, None] for k in range(6))
    row = ((y * cosine - x * sine) >> 17) + down
    column = ((x * cosine + y * sine) >> 17) + right
    return (row % period >= band) & (column % period >= band)


def places(channels: int, height: int, width: int, device: torch.device) -> Tensor:
    """int64 [C*H*W]: a number per channel, row and column that does not depend on how large the canvas is."""
    c, y, x = (torch.arange(n, device=device) for n in (channels, height, width))
    return ((c[:, None, None] << 40) | (y[:, None] << 20) | x).flatten()


def noise_like(images: Tensor, pattern: Tensor) -> Tensor:
    """A value per pixel and channel, a pure function of `pattern` and the pixel's place: uniform over 0..255 on uint8
    images; on floats uniform with mean 0 and variance 1, the moments of normalised pixels."""
    _, channels, height, width = images.shape
    # A hash holds eight levels: those of eight neighbours in a row.
    eighths = -(-width // 8)
    eight = hashed(pattern[:, None], places(channels, height, eighths, images.device)).reshape(-1, channels, height, eighths, 1)
    shift = torch.arange(0, 64, 8, device=images.device)
    level = ((eight >> shift) & 255).flatten(3)[..., :width]
    if images.dtype == torch.uint8:
        return level.to(torch.uint8)
    return ((level.to(torch.float32) - 127.5) * (12**0.5 / 256)).to(images.dtype)


def kept_share(box: Tensor, size: Tensor) -> Tensor:
    """float32 [n]: the share of the image outside the box, from the exact clipped area."""
    height, width = (box[:, 2:] - box[:, :2]).clamp(min=0).unbind(1)
    rows, columns = size.unbind(1)
    return (1 - (height * width).double() / (rows * columns).clamp(min=1)).to(torch.float32)


def region(images: Tensor, record: Region, box: Tensor, others: Tensor, contents: frozenset[Content]) -> Tensor:
    """images [n,C,H,W], uint8 or float, with their boxes filled; `others` has each row's partner image.

    contents: which kinds occur in the record, so that no pass is made for those that cannot.
    """
    height, width = images.shape[-2:]
    mask = inside(box, height, width)[:, None]
    content = record.content[:, None, None, None]
    filled = images
    if contents & {Content.CONSTANT, Content.GRID}:
        flat = content == int(Content.CONSTANT)
        if Content.GRID in contents:
            flat = flat | ((content == int(Content.GRID)) & squares(record.grid, box, height, width)[:, None])
        filled = torch.where(mask & flat, record.fill.to(images.dtype)[:, None, None, None], filled)
    if Content.NOISE in contents:
        filled = torch.where(mask & (content == int(Content.NOISE)), noise_like(images, record.pattern), filled)
    if Content.PARTNER in contents:
        filled = torch.where(mask & (content == int(Content.PARTNER)), others, filled)
    return filled
