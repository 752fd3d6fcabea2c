"""The darkest or brightest pixel of each pixel's neighbourhood."""

from collections.abc import Callable

import torch
from torch import Tensor

from augury.core import devices
from augury.core.op import Values

MOST_PIXELS = 15


def extreme(pick: Callable[[Tensor, Tensor], Tensor], outside: int) -> Callable[[Tensor, Values, Tensor], Tensor]:
    """A map operation: `pick` (minimum or maximum) over a square of `width` pixels a side, one side at a time.

    `outside` is what never wins. A square of even width reaches one pixel further to the left and to the top.
    """

    def run(images: Tensor, values: Values, size: Tensor) -> Tensor:
        width = values["width"].round().to(torch.int64).clamp(1, MOST_PIXELS)[:, None, None, None]
        y = torch.arange(images.shape[-2], device=images.device)[:, None]
        x = torch.arange(images.shape[-1], device=images.device)
        valid = ((y < size[:, 0, None, None]) & (x < size[:, 1, None, None]))[:, None]
        found = torch.where(valid, images, outside)
        for dim in (2, 3):
            found = _along(found, width, dim, pick, outside)
        return torch.where(valid, found, images)

    return run


def _along(images: Tensor, width: Tensor, dim: int, pick: Callable[[Tensor, Tensor], Tensor], outside: int) -> Tensor:
    result, length = images, images.shape[dim]
    most = int(width.max()) if devices.is_host(images.device) and len(images) else MOST_PIXELS
    for reach in range(1, most // 2 + 1):
        for shift, wanted in ((-reach, width >= 2 * reach), (reach, width >= 2 * reach + 1)):
            if reach >= length:
                continue
            edge = torch.full_like(images.narrow(dim, 0, reach), outside)
            inner = images.narrow(dim, 0, length - reach) if shift < 0 else images.narrow(dim, reach, length - reach)
            moved = torch.cat([edge, inner] if shift < 0 else [inner, edge], dim)
            result = torch.where(wanted, pick(result, moved), result)
    return result
