"""The reference: each case computed by Pillow alone."""

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from torch import Tensor

from augury.explain.fidelity.cases import Case

RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
ENHANCE = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "color": ImageEnhance.Color,
    "sharpness": ImageEnhance.Sharpness,
}
PLAIN: dict[str, Callable[[Image.Image], Image.Image]] = {
    "identity": lambda image: image,
    "flip": ImageOps.mirror,
    "flip_vertical": ImageOps.flip,
    "auto_contrast": ImageOps.autocontrast,
    "equalize": ImageOps.equalize,
    "invert": ImageOps.invert,
    "grayscale": lambda image: image.convert("L").convert(image.mode),
}


def as_pil(image: Tensor) -> Image.Image:
    """uint8 [C,H,W] to mode L or RGB."""
    array = image.numpy()
    return Image.fromarray(array[0] if len(array) == 1 else array.transpose(1, 2, 0).copy())


def as_tensor(image: Image.Image) -> Tensor:
    """Mode L or RGB to uint8 [C,H,W]."""
    array = np.array(image)
    return torch.from_numpy(array[None] if array.ndim == 2 else array.transpose(2, 0, 1).copy())


def reference(case: Case, image: Tensor, centred: bool = False) -> Tensor:
    """The image, uint8 [C,H,W], after Pillow's version of the case's operation; shears about the centre if `centred`."""
    return as_tensor(_done(case, as_pil(image), centred))


def bounds(case: Case, image: Tensor, expected: Tensor, centred: bool = False) -> tuple[Tensor, Tensor]:
    """The lowest and highest levels that a displacement of one pixel explains, for operations that move pixels.

    These are the levels within one pixel in the source (Pillow's operation on the image eroded and dilated by 3x3, including
    the black outside) or in the result, with one more level for rounding.
    """
    lowest, highest = (reference(case, _spread(image, sign, outside=True), centred) for sign in (-1, 1))
    low = torch.minimum(lowest, _spread(expected, -1)).to(torch.int16) - 1
    return low, torch.maximum(highest, _spread(expected, 1)).to(torch.int16) + 1


def _spread(image: Tensor, sign: int, outside: bool = False) -> Tensor:
    level = image.to(torch.float32)[None] * sign
    level = torch.nn.functional.pad(level, (1, 1, 1, 1)) if outside else level
    return (torch.nn.functional.max_pool2d(level, 3, 1, 0 if outside else 1)[0] * sign).to(torch.uint8)


def _done(case: Case, image: Image.Image, centred: bool) -> Image.Image:
    name, values = case.operation, dict(case.values)
    if name in PLAIN:
        return PLAIN[name](image)
    if name in ENHANCE:
        return ENHANCE[name](image).enhance(case.value)
    if name == "posterize":
        return ImageOps.posterize(image, int(case.value))
    if name == "solarize":
        return ImageOps.solarize(image, case.value)  # type: ignore[arg-type]
    if name == "solarize_add":
        levels = [min(255, k + int(case.value)) if k < 128 else k for k in range(256)]
        return image.point(levels * len(image.getbands()))
    if name in ("erode", "dilate"):
        kind = ImageFilter.MinFilter if name == "erode" else ImageFilter.MaxFilter
        return image.filter(kind(int(case.value)))
    if name == "hue":
        return _hue(image, case.value)
    if name == "crop":
        pad = int(dict(case.options)["padding"])
        left, top = (min(int(values[k] * (2 * pad + 1)), 2 * pad) for k in ("left", "top"))
        return ImageOps.expand(image, pad).crop((left, top, left + image.width, top + image.height))
    if name == "resized_crop":
        return image.crop(window(case, image.height, image.width)).resize(image.size, RESAMPLING[case.interpolation])
    return _warped(case, image, centred)


def window(case: Case, height: int, width: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a resized crop's window."""
    values = dict(case.values)
    whole = values["area"] * height * width
    rows = min(max(round((whole / values["aspect"]) ** 0.5), 1), height)
    columns = min(max(round((whole * values["aspect"]) ** 0.5), 1), width)
    top = min(int(values["top"] * (height - rows + 1)), height - rows)
    left = min(int(values["left"] * (width - columns + 1)), width - columns)
    return left, top, left + columns, top + rows


def _hue(image: Image.Image, turns: float) -> Image.Image:
    """Rotates hues as torchvision does for PIL images: in whole steps of Pillow's 8-bit HSV."""
    steps = int(turns * 255)
    if image.mode == "L" or steps % 256 == 0:
        return image
    hue, saturation, value = image.convert("HSV").split()
    turned = Image.fromarray(((np.array(hue).astype(np.int64) + steps) % 256).astype(np.uint8))
    return Image.merge("HSV", (turned, saturation, value)).convert(image.mode)


def _warped(case: Case, image: Image.Image, centred: bool) -> Image.Image:
    how = RESAMPLING[case.interpolation]
    if case.operation == "rotate":
        return image.rotate(case.value, how)
    value = case.value
    x, y, step = image.width / 2, image.height / 2, 1 / value if value else 1
    matrices = {
        "shear_x": (1, value, -value * y if centred else 0, 0, 1, 0),
        "shear_y": (1, 0, 0, value, 1, -value * x if centred else 0),
        "translate_x": (1, 0, int(value * image.width), 0, 1, 0),
        "translate_y": (1, 0, 0, 0, 1, int(value * image.height)),
        "zoom": (step, 0, x - step * x, 0, step, y - step * y),
    }
    return image.transform(image.size, Image.Transform.AFFINE, matrices[case.operation], how)
