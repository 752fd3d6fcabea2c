"""torchvision's v2 transforms and functions, on images, masks, boxes and key points."""

import math
from collections.abc import Callable
from typing import Any

import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F


class Operation(v2.Transform):
    """A function with numbers that are drawn for every call.

    A number is itself, a list one of its numbers, a pair the range that is drawn from, with "log" evenly in its logarithm.
    pixels: whether it leaves masks, boxes and key points alone.
    """

    def __init__(self, function: Callable[..., Any], p: float = 1.0, pixels: bool = False, **numbers: Any) -> None:
        super().__init__()
        self.function, self.p, self.pixels, self.numbers = function, p, pixels, numbers

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"on": float(torch.rand(())) < self.p, "numbers": {name: self.draw(number) for name, number in self.numbers.items()}}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        annotation = isinstance(inpt, tv_tensors.TVTensor) and not isinstance(inpt, tv_tensors.Image | tv_tensors.Video)
        return inpt if not params["on"] or (self.pixels and annotation) else self.function(inpt, **params["numbers"])

    @staticmethod
    def draw(number: Any) -> Any:
        if isinstance(number, list):
            return number[int(torch.randint(len(number), ()))]
        if not isinstance(number, tuple):
            return number
        low, high, *log = number
        share = float(torch.rand(()))
        return low * (high / low) ** share if log else low + share * (high - low)


def affine(x: Any, bilinear: bool, fill: int, **given: Any) -> Any:
    how = InterpolationMode.BILINEAR if bilinear else InterpolationMode.NEAREST
    neutral = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]}
    return F.affine(x, **{**neutral, **given}, interpolation=how, fill=fill)


def pixels(fraction: float, length: int) -> int:
    """A fraction of a length, cut to whole pixels; k / length is k, also where float32 makes a hair less of it."""
    return int(fraction * length * (1 + 1e-7))


def identity(x: Any) -> Any:
    return x


def flip(x: Any) -> Any:
    return F.horizontal_flip(x)


def flip_vertical(x: Any) -> Any:
    return F.vertical_flip(x)


def rotate(x: Any, degrees: float, bilinear: bool = False, fill: int = 0) -> Any:
    """Counter-clockwise."""
    return F.rotate(x, degrees, InterpolationMode.BILINEAR if bilinear else InterpolationMode.NEAREST, fill=fill)


def shear_x(x: Any, slope: float, bilinear: bool = False, fill: int = 0) -> Any:
    return affine(x, bilinear, fill, shear=[math.degrees(math.atan(slope)), 0.0], center=[0, 0])


def shear_y(x: Any, slope: float, bilinear: bool = False, fill: int = 0) -> Any:
    return affine(x, bilinear, fill, shear=[0.0, math.degrees(math.atan(slope))], center=[0, 0])


def translate_x(x: Any, fraction: float, reach: int | None = None, fill: int = 0) -> Any:
    """To the left by a fraction of the width, or of `reach` pixels."""
    return affine(x, False, fill, translate=[-pixels(fraction, reach or F.get_size(x)[1]), 0])


def translate_y(x: Any, fraction: float, reach: int | None = None, fill: int = 0) -> Any:
    """Upwards by a fraction of the height, or of `reach` pixels."""
    return affine(x, False, fill, translate=[0, -pixels(fraction, reach or F.get_size(x)[0])])


def zoom(x: Any, factor: float, bilinear: bool = False, fill: int = 0) -> Any:
    """About the centre."""
    return affine(x, bilinear, fill, scale=factor)


def invert(x: Any) -> Any:
    return F.invert(x)


def posterize(x: Any, bits: float) -> Any:
    return F.posterize(x, int(bits))


def solarize(x: Any, threshold: float) -> Any:
    return F.solarize(x, threshold)


def solarize_add(x: Any, amount: float) -> Any:
    """On uint8 pixels."""
    if isinstance(x, Image.Image):
        return x.point(lambda level: min(255, max(0, level + int(amount))) if level < 128 else level)
    return torch.where(x < 128, (x.int() + int(amount)).clamp(0, 255).to(x.dtype), x)


def auto_contrast(x: Any) -> Any:
    return F.autocontrast(x)


def equalize(x: Any) -> Any:
    return F.equalize(x)


def brightness(x: Any, factor: float) -> Any:
    return F.adjust_brightness(x, factor)


def contrast(x: Any, factor: float) -> Any:
    return F.adjust_contrast(x, factor)


def color(x: Any, factor: float) -> Any:
    return F.adjust_saturation(x, factor)


def sharpness(x: Any, factor: float) -> Any:
    return F.adjust_sharpness(x, factor)


def grayscale(x: Any) -> Any:
    return F.rgb_to_grayscale(x, num_output_channels=3)


def hue(x: Any, shift: float) -> Any:
    """By a share of a turn."""
    return F.adjust_hue(x, shift)


def gaussian_blur(x: Any, sigma: float, taps: int = 13) -> Any:
    return F.gaussian_blur(x, [taps, taps], [sigma, sigma])


def cutout(x: Any, fraction: float, length: int | None = None, reach: int | None = None, fill: int = 0) -> Any:
    """A square centred on any pixel of a tensor."""
    height, width = F.get_size(x)
    side = length if length is not None else int(fraction * (reach or min(height, width)))
    top, left = int(torch.randint(height, ())) - side // 2, int(torch.randint(width, ())) - side // 2
    x, bottom, right = x.clone(), top + side, left + side
    x[..., max(0, top) : max(0, bottom), max(0, left) : max(0, right)] = fill
    return x
