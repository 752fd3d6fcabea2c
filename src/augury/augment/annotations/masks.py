"""Masks after their image has moved."""

import torch
from torch import Tensor

from augury.augment.geometry.followed import EMPTY
from augury.core.errors import InputError


def moved_masks(masks: Tensor, sources: Tensor, rows: Tensor, fill: float) -> Tensor:
    """Masks [n,...,H,W] of the images `rows` (int64 [n]) of a batch with `sources`, int64 [B,H,W]; every pixel is read from one.

    Where pixels come from other images, those images' masks are among these, and all have one shape. Raises InputError for a
    `fill` that the masks' dtype cannot hold, and for a missing mask.
    """
    count, (height, width) = len(masks), masks.shape[-2:]
    value = _fill(fill, masks.dtype)
    sources = sources[rows].flatten(1).to(masks.device)
    image, pixel = sources.div(height * width, rounding_mode="floor"), sources % (height * width)
    empty = (sources == EMPTY)[:, None]
    layers = masks.reshape(count, -1, height * width)
    own = rows.to(masks.device)[:, None]
    if bool(((image == own) | (sources == EMPTY)).all()):
        read = layers.gather(2, pixel[:, None].expand(-1, layers.shape[1], -1))
    else:
        place = torch.full((int(image.max()) + 1,), -1, dtype=torch.int64, device=masks.device)
        place[rows.to(masks.device)] = torch.arange(count, device=masks.device)
        at = place[image.clamp(min=0)]
        if bool((at < 0).any()):
            raise InputError("masks: an image whose mask is missing is pasted into others; give every image of the batch a mask")
        read = layers[at, :, pixel].transpose(1, 2)
    return torch.where(empty, torch.tensor(value, dtype=masks.dtype, device=masks.device), read).reshape(masks.shape)


def _fill(fill: float, dtype: torch.dtype) -> float | bool:
    if dtype == torch.bool:
        return False
    if not dtype.is_floating_point and not (torch.iinfo(dtype).min <= fill <= torch.iinfo(dtype).max and float(fill).is_integer()):
        raise InputError(f"annotations: mask_fill={fill:g} cannot be written into a mask of {dtype}")
    return fill if dtype.is_floating_point else int(fill)
