"""The darkest or brightest pixel of each pixel's neighbourhood."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from augury.core import devices
from augury.core.op import Values

MOST_PIXELS = 15
Footprint = Literal["square", "cross"]
Pick = Callable[[Tensor, Tensor], Tensor]


def extreme(pick: Pick, outside: int, footprint: Footprint, *, longer: Literal["before", "after"]) -> Callable[..., Tensor]:
    """A map operation: `pick` (minimum or maximum) over a neighbourhood `width` pixels wide and high.

    footprint: all pixels of the square, or those of its middle row and column. outside: the padding value, which is never picked.
    longer: the side on which a neighbourhood of even width reaches one pixel further; before the pixel (left and top) in SciPy's
    erosion, after it in SciPy's dilation, which mirrors the neighbourhood.
    """
    sign = -1 if longer == "before" else 1

    def run(images: Tensor, values: Values, size: Tensor) -> Tensor:
        width = values["width"].round().to(torch.int64).clamp(1, MOST_PIXELS)[:, None, None, None]
        y = torch.arange(images.shape[-2], device=images.device)[:, None]
        x = torch.arange(images.shape[-1], device=images.device)
        valid = ((y < size[:, 0, None, None]) & (x < size[:, 1, None, None]))[:, None]
        inside = torch.where(valid, images, outside)
        rows = _along(inside, width, 2, pick, outside, sign)
        found = _along(rows, width, 3, pick, outside, sign) if footprint == "square" else rows
        if footprint == "cross":
            found = pick(rows, _along(inside, width, 3, pick, outside, sign))
        return torch.where(valid, found, images)

    return run


def _along(images: Tensor, width: Tensor, dim: int, pick: Pick, outside: int, longer: int) -> Tensor:
    result, length = images, images.shape[dim]
    most = int(width.max()) if devices.is_host(images.device) and len(images) else MOST_PIXELS
    for reach in range(1, most // 2 + 1):
        for shift, wanted in ((longer * reach, width >= 2 * reach), (-longer * reach, width >= 2 * reach + 1)):
            if reach >= length:
                continue
            edge = torch.full_like(images.narrow(dim, 0, reach), outside)
            inner = images.narrow(dim, 0, length - reach) if shift < 0 else images.narrow(dim, reach, length - reach)
            moved = torch.cat([edge, inner] if shift < 0 else [inner, edge], dim)
            result = torch.where(wanted, pick(result, moved), result)
    return result
