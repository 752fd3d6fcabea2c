"""Resizes images to one size: covers it and crops the centre, fits the image into it, or stretches the image."""

from collections.abc import Iterable
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from augury.core.errors import InputError
from augury.train.data.bands import layers
from augury.train.data.pool import each

LARGEST_SIDE = 4096
# Beyond this many times the kept pixels, those that would be cropped are not computed.
WASTE = 16
# The padding of an image that is fitted into another shape.
BESIDE = 0

Size = tuple[int, int]
# A side, or rows and columns; None: not given.
ImageSize = int | tuple[int, ...] | None
Resize = Literal["cover", "fit", "stretch"]
# An image of mode L or RGB, or one grey image per band.
Plain = Image.Image | tuple[Image.Image, ...]


def size_of(image_size: ImageSize) -> Size | None:
    """Rows and columns; InputError unless there are one or two sides, all in range."""
    if image_size is None:
        return None
    sides = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    sides = sides * 2 if len(sides) == 1 else sides
    if len(sides) != 2:
        raise InputError(f"--image-size: {','.join(map(str, sides))}: give one side, 224, or rows and columns, 256,128")
    for side in sides:
        if not 1 <= side <= LARGEST_SIDE:
            raise InputError(f"--image-size: {side} must be from 1 to {LARGEST_SIDE}")
    return sides[0], sides[1]


def fit(image: Image.Image, size: Size, how: Resize = "cover") -> Image.Image:
    """`image` resized to `size` (rows, columns), bilinear with antialiasing; an image of that size is returned unchanged.

    how: `cover` resizes until the target is covered and crops its centre, `fit` resizes until the whole image is inside and pads
    with black, `stretch` changes the aspect ratio.
    """
    height, width = size
    if image.size == (width, height):
        return image
    if how == "stretch":
        return image.resize((width, height), Image.Resampling.BILINEAR)
    if how == "fit":
        scale = min(height / image.height, width / image.width)
        inside = min(width, max(1, round(image.width * scale))), min(height, max(1, round(image.height * scale)))
        made = Image.new(image.mode, (width, height), BESIDE)
        made.paste(image.resize(inside, Image.Resampling.BILINEAR), ((width - inside[0]) // 2, (height - inside[1]) // 2))
        return made
    scale = max(height / image.height, width / image.width)
    covering = max(width, round(image.width * scale)), max(height, round(image.height * scale))
    if covering[0] * covering[1] > WASTE * width * height:
        return _fit_box(image, size, covering)
    if image.size != covering:
        image = image.resize(covering, Image.Resampling.BILINEAR)
    left, top = (covering[0] - width) // 2, (covering[1] - height) // 2
    return image.crop((left, top, left + width, top + height))


def pixels_at(plain: Plain, size: Size, how: Resize = "cover") -> np.ndarray:
    """uint8 [C,H,W] of an image, or of its bands, resized by `fit`."""
    return stacked(tuple(fit(band, size, how) for band in plain) if isinstance(plain, tuple) else fit(plain, size, how))


def stacked(plain: Plain) -> np.ndarray:
    """uint8 [C,H,W] of an image as it is, or of its bands."""
    return np.concatenate([planes(band) for band in plain]) if isinstance(plain, tuple) else planes(plain)


def size_of_plain(plain: Plain) -> Size:
    """Rows and columns of an image or of its bands."""
    first = plain[0] if isinstance(plain, tuple) else plain
    return first.height, first.width


def _fit_box(image: Image.Image, size: tuple[int, int], covering: tuple[int, int]) -> Image.Image:
    """Resizes only the kept box, for an image so long and thin that covering the target would take gigabytes.

    Pillow reads the box as 32-bit floats, so that a pixel may differ by one grey level from resizing everything and cropping.
    """
    height, width = size
    left, top = (covering[0] - width) // 2, (covering[1] - height) // 2
    across, down = image.width / covering[0], image.height / covering[1]
    box = left * across, top * down, min(image.width, (left + width) * across), min(image.height, (top + height) * down)
    return image.resize((width, height), Image.Resampling.BILINEAR, box=box)


def fit_tensor(images: Tensor, size: Size, how: Resize = "cover") -> Tensor:
    """uint8 [N,C,H,W] resized to `size` (rows, columns) exactly as by `fit`; channels other than 1 or 3 band by band."""
    if tuple(images.shape[-2:]) == size:
        return images
    out = torch.empty(*images.shape[:2], *size, dtype=torch.uint8)
    source, target = images.permute(0, 2, 3, 1).numpy(), out.numpy()

    def one(row: int) -> None:
        plain: Plain = layers(source[row])
        if source.shape[-1] in (1, 3):
            plain = Image.fromarray(source[row].squeeze(-1) if source.shape[-1] == 1 else source[row])
        target[row] = pixels_at(plain, size, how)

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


def in_words(sizes: Iterable[Size], target: Size, how: Resize) -> str:
    """How images of these sizes were resized to the target, and how much of them was cropped."""
    if how == "stretch":
        return "stretched"
    if how == "fit":
        return "fitted in, padded with black"
    lost = [cut_away(size, target) for size in sizes]
    most = 100 * max(lost, default=0.0)
    if most < 0.5:
        return "short side resized, centre cut out"
    mean = 100 * sum(lost) / len(lost)
    return (
        f"short side resized, centre cut out: {mean:.0f} % of each image cut away on average, {most:.0f} % at most; "
        "--resize fit or stretch keeps all"
    )
