"""Bringing images to one size: the target is covered and its centre cut out, or the image is fitted into it, or stretched to it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from augury.core.errors import InputError
from augury.train.data.pool import each

LARGEST_SIDE = 4096
# What lies beside an image that is fitted into another shape.
BESIDE = 0

Resize = Literal["cover", "fit", "stretch"]
Size = tuple[int, int]


@dataclass(frozen=True)
class Sizing:
    """What images are brought to. size: rows and columns; None leaves images of one size as they are, and brings others to
    the shorter side of the most common size. how: `cover` resizes until the target is covered and cuts its centre out,
    `fit` resizes until the whole image is inside and leaves black beside it, `stretch` changes the shape."""

    size: Size | None = None
    how: Resize = "cover"

    @staticmethod
    def of(image_size: int | tuple[int, ...] | None, how: Resize = "cover") -> "Sizing":
        """From `--image-size` (a side, or rows and columns) and `--resize`; InputError for another number of sides or a size
        out of range."""
        if image_size is None:
            return Sizing(None, how)
        sides = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
        if len(sides) == 1:
            sides = sides * 2
        if len(sides) != 2:
            raise InputError(f"--image-size: {','.join(map(str, sides))}: give one side, 224, or rows and columns, 256,128")
        for side in sides:
            if not 1 <= side <= LARGEST_SIDE:
                raise InputError(f"--image-size: {side} must be from 1 to {LARGEST_SIDE}")
        return Sizing((sides[0], sides[1]), how)


AS_THEY_ARE = Sizing()


def resized(image: Image.Image, size: Size, how: Resize = "cover") -> Image.Image:
    """`image` at `size` (rows, columns), bilinear with antialiasing; one of that size comes back untouched."""
    height, width = size
    if image.size == (width, height):
        return image
    if how == "stretch":
        return image.resize((width, height), Image.Resampling.BILINEAR)
    ratios = height / image.height, width / image.width
    if how == "fit":
        scale = min(ratios)
        inside = min(width, max(1, round(image.width * scale))), min(height, max(1, round(image.height * scale)))
        whole = image if image.size == inside else image.resize(inside, Image.Resampling.BILINEAR)
        made = Image.new(image.mode, (width, height), BESIDE)
        made.paste(whole, ((width - inside[0]) // 2, (height - inside[1]) // 2))
        return made
    scale = max(ratios)
    covering = max(width, round(image.width * scale)), max(height, round(image.height * scale))
    if image.size != covering:
        image = image.resize(covering, Image.Resampling.BILINEAR)
    left, top = (covering[0] - width) // 2, (covering[1] - height) // 2
    return image.crop((left, top, left + width, top + height))


def resized_tensor(images: Tensor, size: Size, how: Resize = "cover") -> Tensor:
    """uint8 [N,C,H,W] at `size` (rows, columns), exactly as `resized` does it; C is 1 or 3."""
    if tuple(images.shape[-2:]) == size:
        return images
    out = torch.empty(*images.shape[:2], *size, dtype=torch.uint8)
    source, target = images.permute(0, 2, 3, 1).numpy(), out.numpy()

    def one(row: int) -> None:
        plain = Image.fromarray(source[row].squeeze(-1) if source.shape[-1] == 1 else source[row])
        target[row] = planes(resized(plain, size, how))

    each(one, len(images))
    return out


def planes(image: Image.Image) -> np.ndarray:
    """uint8 [C,H,W] of an image of mode L or RGB."""
    array = np.asarray(image)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def cut_away(size: Size, target: Size) -> float:
    """The share in [0, 1) of an image of `size` (rows, columns) that covering `target` cuts away."""
    tall, wide = size[0] / target[0], size[1] / target[1]
    return 1 - min(tall, wide) / max(tall, wide)


def words(sizes: Iterable[Size], target: Size, how: Resize) -> str:
    """How images of other sizes came to the target, in words, and what they lost by it."""
    if how == "stretch":
        return "stretched"
    if how == "fit":
        return "fitted in, black beside"
    lost = [cut_away(size, target) for size in sizes]
    most = 100 * max(lost, default=0.0)
    if most < 0.5:
        return "short side resized, centre cut out"
    mean = 100 * sum(lost) / len(lost)
    return (
        f"short side resized, centre cut out: {mean:.0f} % of each image cut away on average, {most:.0f} % at most; "
        "--resize fit or stretch keeps all"
    )
