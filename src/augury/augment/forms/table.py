"""Table: every pixel is looked up in 256 entries per channel, made from a value or from the image's own histogram.

Recipes follow Pillow's ImageOps and ImageEnhance to the bit: enhancement blends in float32, product and sum rounded
separately, and truncates; auto contrast scales in float64; equalize clips.
"""

from enum import IntEnum
from typing import NamedTuple

import torch
from torch import Tensor

from augury.augment.forms.histogram import grey, histogram
from augury.core import devices


class TableKind(IntEnum):
    """How a table is made; the number is what back ends see."""

    IDENTITY = 0
    INVERT = 1
    SOLARIZE = 2
    SOLARIZE_ADD = 3
    POSTERIZE = 4
    BRIGHTNESS = 5
    CONTRAST = 6
    AUTO_CONTRAST = 7
    EQUALIZE = 8
    CONTRAST_PIXEL_COUNT = 9


class LookupTable(NamedTuple):
    """recipe: int64 [n]. value: float64 [n] (threshold, summand, bits or factor; unused by some)."""

    recipe: Tensor
    value: Tensor


def table(images: Tensor, record: LookupTable, size: Tensor) -> Tensor:
    """images uint8 [n,C,H,W] through their tables; statistics are read from the valid `size` only."""
    n, channels, height, width = images.shape
    if images.numel() == 0:
        return images.clone()
    tables = torch.arange(256, dtype=torch.uint8, device=images.device).repeat(n, channels, 1)
    for recipe, make in _RECIPES.items():
        mask = record.recipe == int(recipe)
        if devices.is_host(images.device):
            rows = mask.nonzero()[:, 0]
            if len(rows):
                tables[rows] = make(images[rows], record.value[rows], size[rows])
        else:
            tables = torch.where(mask[:, None, None], make(images, record.value, size), tables)
    index = images.reshape(n, channels, height * width).to(torch.int64)
    return tables.gather(2, index).reshape(images.shape)


def _levels(images: Tensor) -> Tensor:
    return torch.arange(256, device=images.device, dtype=torch.int64)


def _spread(one: Tensor, images: Tensor) -> Tensor:
    """[n,256] for all channels, as uint8 [n,C,256]."""
    return one.to(torch.uint8)[:, None].expand(-1, images.shape[1], -1)


def _invert(images: Tensor, value: Tensor, size: Tensor) -> Tensor:
    return _spread((255 - _levels(images)).expand(len(images), 256), images)


def _solarize(images: Tensor, value: Tensor, size: Tensor) -> Tensor:
    levels = _levels(images)
    return _spread(torch.where(levels < value[:, None], levels, 255 - levels), images)


def _solarize_add(images: Tensor, value: Tensor, size: Tensor) -> Tensor:
    levels = _levels(images)
    return _spread(torch.where(levels < 128, (levels + value[:, None].to(torch.int64)).clamp(0, 255), levels), images)


def _posterize(images: Tensor, value: Tensor, size: Tensor) -> Tensor:
    """Zero bits give black, as in older versions of Pillow; Pillow 13 raises an error."""
    step = 2 ** (8 - value.to(torch.int64).clamp(0, 8))[:, None]
    return _spread(_levels(images) // step * step, images)


def blended(degenerate: Tensor, image: Tensor, factor: Tensor) -> Tensor:
    """Pillow's Image.blend: float32 with product and sum rounded one after the other, clipped, then truncated."""
    difference = (image - degenerate) * factor.to(torch.float32)
    return (difference + degenerate).clamp(0, 255).to(torch.uint8)


def _brightness(images: Tensor, value: Tensor, size: Tensor) -> Tensor:
    levels = _levels(images).to(torch.float32)
    return _spread(blended(torch.zeros_like(levels), levels, value[:, None]), images)


def _contrast(images: Tensor, value: Tensor, size: Tensor) -> Tensor:
    levels = _levels(images).to(torch.float32)
    counts = histogram(grey(images), size)[:, 0].to(torch.float64)
    pixels = counts.sum(1).clamp(min=1)
    mean = ((counts * _levels(images)).sum(1) / pixels + 0.5).floor().to(torch.float32)
    return _spread(blended(mean[:, None], levels, value[:, None]), images)


def _contrast_pixel_count(images: Tensor, value: Tensor, size: Tensor) -> Tensor:
    levels = _levels(images).to(torch.float32)
    degenerate = (size[:, 0] * size[:, 1] // 256).clamp(max=255).to(torch.float32)
    return _spread(blended(degenerate[:, None], levels, value[:, None]), images)


def _auto_contrast(images: Tensor, value: Tensor, size: Tensor) -> Tensor:
    used = histogram(images, size) > 0
    levels = _levels(images)
    low = torch.where(used, levels, 255).amin(2, keepdim=True).double()
    high = torch.where(used, levels, 0).amax(2, keepdim=True).double()
    # Tensor by tensor: PyTorch runs `255.0 / t` as a reciprocal and a product, one ulp low at the top entries.
    scale = torch.full_like(high, 255.0) / (high - low).clamp(min=1)
    stretched = (levels * scale + -low * scale).clamp(0, 255).to(torch.int64)
    return torch.where(high > low, stretched, levels).to(torch.uint8)


def _equalize(images: Tensor, value: Tensor, size: Tensor) -> Tensor:
    counts = histogram(images, size)
    levels = _levels(images)
    last = torch.where(counts > 0, levels, 0).amax(2, keepdim=True)
    step = (counts.sum(2, keepdim=True) - counts.gather(2, last)) // 255
    before = counts.cumsum(2) - counts
    equalized = ((step // 2 + before) // step.clamp(min=1)).clamp(0, 255)
    return torch.where(step > 0, equalized, levels).to(torch.uint8)


_RECIPES = {
    TableKind.INVERT: _invert,
    TableKind.SOLARIZE: _solarize,
    TableKind.SOLARIZE_ADD: _solarize_add,
    TableKind.POSTERIZE: _posterize,
    TableKind.BRIGHTNESS: _brightness,
    TableKind.CONTRAST: _contrast,
    TableKind.AUTO_CONTRAST: _auto_contrast,
    TableKind.EQUALIZE: _equalize,
    TableKind.CONTRAST_PIXEL_COUNT: _contrast_pixel_count,
}
