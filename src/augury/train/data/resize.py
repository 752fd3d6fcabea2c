"""Bringing images to one size: the target is covered (short side resized) and its centre cut out."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from augury.train.data.pool import each

LARGEST_SIDE = 4096
# From this many times the kept pixels on, those that would be cut away are not computed.
WASTE = 16


def fit(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """`image` at `size` (rows, columns): resized to cover it, bilinear with antialiasing, and cut to its centre.

    An image of that size comes back untouched.
    """
    height, width = size
    if image.size == (width, height):
        return image
    scale = max(height / image.height, width / image.width)
    covering = max(width, round(image.width * scale)), max(height, round(image.height * scale))
    if covering[0] * covering[1] > WASTE * width * height:
        return _fit_box(image, size, covering)
    if image.size != covering:
        image = image.resize(covering, Image.Resampling.BILINEAR)
    left, top = (covering[0] - width) // 2, (covering[1] - height) // 2
    return image.crop((left, top, left + width, top + height))


def _fit_box(image: Image.Image, size: tuple[int, int], covering: tuple[int, int]) -> Image.Image:
    """The kept box alone, of an image so long and thin that covering the target would take gigabytes.

    Pillow reads the box as 32-bit floats, so that a pixel may differ by a grey level from resizing all and cutting.
    """
    height, width = size
    left, top = (covering[0] - width) // 2, (covering[1] - height) // 2
    across, down = image.width / covering[0], image.height / covering[1]
    box = left * across, top * down, min(image.width, (left + width) * across), min(image.height, (top + height) * down)
    return image.resize((width, height), Image.Resampling.BILINEAR, box=box)


def fit_tensor(images: Tensor, size: tuple[int, int]) -> Tensor:
    """uint8 [N,C,H,W] at `size` (rows, columns), exactly as `fit` does it; C is 1 or 3."""
    if tuple(images.shape[-2:]) == size:
        return images
    out = torch.empty(*images.shape[:2], *size, dtype=torch.uint8)
    source, target = images.permute(0, 2, 3, 1).numpy(), out.numpy()

    def one(row: int) -> None:
        target[row] = planes(fit(Image.fromarray(source[row].squeeze(-1) if source.shape[-1] == 1 else source[row]), size))

    each(one, len(images))
    return out


def planes(image: Image.Image) -> np.ndarray:
    """uint8 [C,H,W] of an image of mode L or RGB."""
    array = np.asarray(image)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
