"""Pillow alone: operations on PIL images of mode L or RGB."""

import math
import random
from collections.abc import Callable
from typing import Any

from PIL import Image, ImageEnhance, ImageFilter, ImageOps

Step = Callable[[Image.Image], Image.Image]


def draw(number: Any) -> Any:
    """A number, one of a list, or one of a range: a pair, with "log" evenly in its logarithm."""
    if isinstance(number, list):
        return random.choice(number)
    if not isinstance(number, tuple):
        return number
    low, high, *log = number
    return math.exp(random.uniform(math.log(low), math.log(high))) if log else random.uniform(low, high)


def step(function: Callable[..., Image.Image], p: float = 1.0, **numbers: Any) -> Step:
    """The function with numbers drawn anew each time; it fires with probability p."""
    return lambda image: function(image, **{k: draw(n) for k, n in numbers.items()}) if random.random() < p else image


def chain(*steps: Step) -> Step:
    """One step after another."""

    def run(image: Image.Image) -> Image.Image:
        for each in steps:
            image = each(image)
        return image

    return run


def one_of(*steps: Step) -> Step:
    """One of the steps, each as likely as the next."""
    return lambda image: random.choice(steps)(image)


def shuffled(*steps: Step) -> Step:
    """All steps, in an order drawn anew each time."""
    return lambda image: chain(*random.sample(steps, len(steps)))(image)


def warp(image: Image.Image, matrix: tuple[float, ...], bilinear: bool, fill: int) -> Image.Image:
    """By a matrix from output to input."""
    how = Image.Resampling.BILINEAR if bilinear else Image.Resampling.NEAREST
    return image.transform(image.size, Image.Transform.AFFINE, matrix, how, fillcolor=(fill,) * len(image.getbands()))


def pixels(fraction: float, length: int) -> int:
    """A fraction of a length, cut to whole pixels; k / length is k, also where float32 makes a hair less of it."""
    return int(fraction * length * (1 + 1e-7))


def identity(image: Image.Image) -> Image.Image:
    return image


def flip(image: Image.Image) -> Image.Image:
    return ImageOps.mirror(image)


def flip_vertical(image: Image.Image) -> Image.Image:
    return ImageOps.flip(image)


def rotate(image: Image.Image, degrees: float, bilinear: bool = False, fill: int = 0) -> Image.Image:
    """Counter-clockwise."""
    how = Image.Resampling.BILINEAR if bilinear else Image.Resampling.NEAREST
    return image.rotate(degrees, how, fillcolor=(fill,) * len(image.getbands()))


def shear_x(image: Image.Image, slope: float, bilinear: bool = False, fill: int = 0) -> Image.Image:
    return warp(image, (1, slope, 0, 0, 1, 0), bilinear, fill)


def shear_y(image: Image.Image, slope: float, bilinear: bool = False, fill: int = 0) -> Image.Image:
    return warp(image, (1, 0, 0, slope, 1, 0), bilinear, fill)


def translate_x(image: Image.Image, fraction: float, reach: int | None = None, fill: int = 0) -> Image.Image:
    """To the left by a fraction of the width, or of `reach` pixels."""
    return warp(image, (1, 0, pixels(fraction, reach or image.width), 0, 1, 0), False, fill)


def translate_y(image: Image.Image, fraction: float, reach: int | None = None, fill: int = 0) -> Image.Image:
    """Upwards by a fraction of the height, or of `reach` pixels."""
    return warp(image, (1, 0, 0, 0, 1, pixels(fraction, reach or image.height)), False, fill)


def zoom(image: Image.Image, factor: float, bilinear: bool = False, fill: int = 0) -> Image.Image:
    """About the centre."""
    scale, x, y = 1 / factor, image.width / 2, image.height / 2
    return warp(image, (scale, 0, x - scale * x, 0, scale, y - scale * y), bilinear, fill)


def crop(image: Image.Image, padding: int | None = None, fill: int = 0) -> Image.Image:
    """Moved by up to `padding` pixels, an eighth of the side by default."""
    reach = [padding if padding is not None else (side + 4) // 8 for side in (image.height, image.width)]
    down, right = (random.randint(-pad, pad) for pad in reach)
    return warp(image, (1, 0, right, 0, 1, down), False, fill)


def resized_crop(image: Image.Image, area: float, aspect: float, bicubic: bool = False) -> Image.Image:
    """A window of a share of the area, resized to the image's size; aspect is width by height."""
    width, height = image.size
    rows = min(max(round(math.sqrt(area * width * height / aspect)), 1), height)
    columns = min(max(round(math.sqrt(area * width * height * aspect)), 1), width)
    top, left = random.randint(0, height - rows), random.randint(0, width - columns)
    how = Image.Resampling.BICUBIC if bicubic else Image.Resampling.BILINEAR
    return image.crop((left, top, left + columns, top + rows)).resize(image.size, how)


def invert(image: Image.Image) -> Image.Image:
    return ImageOps.invert(image)


def posterize(image: Image.Image, bits: float) -> Image.Image:
    return image.point(lambda level: level & ~(2 ** (8 - int(bits)) - 1))


def solarize(image: Image.Image, threshold: float) -> Image.Image:
    return image.point(lambda level: level if level < threshold else 255 - level)


def solarize_add(image: Image.Image, amount: float) -> Image.Image:
    return image.point(lambda level: min(255, max(0, level + int(amount))) if level < 128 else level)


def auto_contrast(image: Image.Image) -> Image.Image:
    return ImageOps.autocontrast(image)


def equalize(image: Image.Image) -> Image.Image:
    return ImageOps.equalize(image)


def brightness(image: Image.Image, factor: float) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(factor)


def contrast(image: Image.Image, factor: float) -> Image.Image:
    return ImageEnhance.Contrast(image).enhance(factor)


def color(image: Image.Image, factor: float) -> Image.Image:
    return ImageEnhance.Color(image).enhance(factor)


def sharpness(image: Image.Image, factor: float) -> Image.Image:
    return ImageEnhance.Sharpness(image).enhance(factor)


def grayscale(image: Image.Image) -> Image.Image:
    return image.convert("L").convert(image.mode)


def hue(image: Image.Image, shift: float) -> Image.Image:
    """By a share of a turn."""
    levels = int(shift * 255)
    if image.mode != "RGB" or levels % 256 == 0:
        return image
    turned, saturation, value = image.convert("HSV").split()
    return Image.merge("HSV", (turned.point(lambda level: (level + levels) % 256), saturation, value)).convert("RGB")


def gaussian_blur(image: Image.Image, sigma: float) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(sigma))


def cutout(image: Image.Image, fraction: float, length: int | None = None, reach: int | None = None, fill: int = 0) -> Image.Image:
    """A square centred on any pixel."""
    side = length if length is not None else int(fraction * (reach or min(image.size)))
    left, top = random.randrange(image.width) - side // 2, random.randrange(image.height) - side // 2
    image = image.copy()
    image.paste((fill,) * len(image.getbands()), (left, top, left + side, top + side))
    return image


def random_erasing(image: Image.Image, area: float, aspect: float, noise: bool = True, fill: int = 0) -> Image.Image:
    """A rectangle inside the image; aspect is height by width."""
    whole = area * image.width * image.height
    rows = min(max(round(max(math.sqrt(whole * aspect), whole / image.width)), 1), image.height)
    columns = min(round(whole / rows), image.width)
    left, top = random.randint(0, image.width - columns), random.randint(0, image.height - rows)
    size, image = (columns, rows), image.copy()
    if not (columns and rows):
        return image
    bands = [Image.new("L", size, fill) for _ in image.getbands()]
    if noise:
        bands = [Image.frombytes("L", size, random.randbytes(columns * rows)) for _ in bands]
    image.paste(bands[0] if len(bands) == 1 else Image.merge(image.mode, bands), (left, top))
    return image
