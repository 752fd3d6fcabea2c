# Written by tools/stubs.py; do not edit.
from typing import Literal

from augury.augment.pipeline import Pipeline
from augury.augment.typed import Drawn

def auto_contrast(*, p: float | None = None) -> Pipeline:
    """Stretches every channel so that its darkest level becomes 0 and its lightest 255."""

def brightness(*, factor: Drawn | None = None, p: float | None = None) -> Pipeline:
    """Blends with a black image: factor 0 is that, 1 the image, above 1 beyond it."""

def color(*, factor: Drawn | None = None, p: float | None = None) -> Pipeline:
    """Blends with its grey version: factor 0 is that, 1 the image, above 1 beyond it."""

def contrast(*, mean: Literal["grey", "pixel_count"] = "grey", factor: Drawn | None = None, p: float | None = None) -> Pipeline:
    """Blends with its mean grey: factor 0 is that, 1 the image, above 1 beyond it.

    `mean=pixel_count` repeats a slip of the released TPU code of AutoAugment, which blends with the number of pixels
    divided by 256 (196 at 224 x 224, at most 255).
    """

def crop(
    *,
    padding: int | None = None,
    fill: int = 0,
    top: Drawn | None = None,
    left: Drawn | None = None,
    p: float | None = None,
) -> Pipeline:
    """Pads by `padding` pixels (an eighth of the side: 4 of 32) and cuts a window of the old size.

    `top` and `left` in [0, 1] place the window, 0.5 being no shift; all 2 x padding + 1 offsets are equally likely.
    """

def cutmix(*, alpha: float = 1.0, batch_wide: bool = False, weight: Drawn | None = None, p: float | None = None) -> Pipeline:
    """Pastes the same place of another image; labels are weighted by the exact area that is left. Alone, p = 0.5.

    `weight` from Beta(alpha, alpha) sets the sides, H and W times sqrt(1 - weight), cut to whole pixels; the centre is
    uniform and the box is clipped. Every image draws its own weight, box and partner; with `batch_wide` one weight and box
    hold for the batch, as in the published code. p = 0.5 is its CIFAR setting; for ImageNet it is 1.
    """

def cutout(
    *,
    length: int | None = None,
    fill: float | None = None,
    reach: int | None = None,
    fraction: Drawn | None = None,
    p: float | None = None,
) -> Pipeline:
    """Removes a square centred anywhere in the image and clipped at its border; by default half the side (16 of 32).

    `length` in pixels, or the parameter `fraction` of the shorter side. Without `fill` the square becomes 0 in the
    values the stage sees: the mean colour after normalising, as published, and black on uint8 pixels. `fill` is a grey level
    from 0 to 255 wherever the operation stands, painted before normalising. With `reach`, `fraction` is of so many pixels.
    """

def dilate(*, footprint: Literal["square", "cross"] = "square", width: Drawn | None = None, p: float | None = None) -> Pipeline:
    """Takes the brightest pixel of a square, or of a cross, `width` pixels a side: bright strokes get thicker."""

def elastic(*, sigma: float = 4.0, alpha: Drawn | None = None, pattern: Drawn | None = None, p: float | None = None) -> Pipeline:
    """Moves every pixel by uniform noise in [-1, 1], smoothed by a Gaussian of `sigma` pixels and multiplied by `alpha`.

    `pattern` chooses the field, so that a replay repeats it.
    """

def equalize(*, p: float | None = None) -> Pipeline:
    """Spreads the levels of every channel so that all are used about equally often."""

def erode(*, footprint: Literal["square", "cross"] = "square", width: Drawn | None = None, p: float | None = None) -> Pipeline:
    """Takes the darkest pixel of a square, or of a cross, `width` pixels a side: bright strokes get thinner."""

def flip(*, p: float | None = None) -> Pipeline:
    """Mirrors the image left to right; alone, with probability one half."""

def flip_vertical(*, p: float | None = None) -> Pipeline:
    """Mirrors the image top to bottom; alone, with probability one half."""

def gaussian_blur(*, taps: int = 13, sigma: Drawn | None = None, p: float | None = None) -> Pipeline:
    """Smooths the image with a Gaussian of `sigma` pixels, cut off at `taps` pixels, mirrored at the border.

    13 taps hold three standard deviations of the largest default sigma; an even number counts one more.
    """

def grayscale(*, p: float | None = None) -> Pipeline:
    """Replaces the image by its grey version in all channels; alone, with probability 0.1."""

def grid_mask(
    *,
    rotate: bool = False,
    fill: float | None = None,
    period: Drawn | None = None,
    ratio: Drawn | None = None,
    down: Drawn | None = None,
    right: Drawn | None = None,
    turn: Drawn | None = None,
    p: float | None = None,
) -> Pipeline:
    """Removes a regular grid of squares of drawn period and offset; `ratio` is the width of what stays between them.

    The default periods, 96 to 224 of 224 pixels, are the published ones as fractions of the shorter side. With `rotate`
    the grid is turned by any angle, as the published ImageNet code does. Without `fill` the squares become 0 in the values the
    stage sees, the mean colour after normalising; `fill` is a grey level from 0 to 255, painted before normalising.
    """

def hue(*, shift: Drawn | None = None, p: float | None = None) -> Pipeline:
    """Turns all hues by `shift` of the colour circle, in Pillow's 8-bit HSV; a shift under 1/255 changes nothing."""

def identity(*, p: float | None = None) -> Pipeline:
    """Leaves the image as it is."""

def inaugment_patch(
    *,
    source: Drawn | None = None,
    from_row: Drawn | None = None,
    from_column: Drawn | None = None,
    to_row: Drawn | None = None,
    to_column: Drawn | None = None,
    p: float | None = None,
) -> Pipeline:
    """Copies a square window of the image, trimmed at the border, and pastes it over another place of the same image.

    The patch is the image as earlier operations of the policy left it, so that it looks as the image does. `source` is the
    window's side as a share of the shorter side; both centres are uniform over the pixels. `inaugment` is the whole
    method, with the policy on image and patch, sizes and presets.
    """

def invert(*, p: float | None = None) -> Pipeline:
    """255 minus every pixel."""

def mixup(*, alpha: float = 1.0, batch_wide: bool = False, weight: Drawn | None = None, p: float | None = None) -> Pipeline:
    """Adds `weight` of the image and 1 - weight of another, labels likewise; weight from Beta(alpha, alpha).

    Every image draws its own weight and partner; with `batch_wide` one weight holds for the batch, as in the published code.
    A gradual refinement lets alpha fall to 0 (He et al. 2019, arXiv:1909.09148, section 4.1).
    """

def posterize(*, bits: Drawn | None = None, p: float | None = None) -> Pipeline:
    """Keeps the top `bits` bits of every pixel: 8 is the image. 0 gives black, where Pillow 13 refuses."""

def random_erasing(
    *,
    content: Literal["noise", "constant"] = "noise",
    fill: float | None = None,
    area: Drawn | None = None,
    aspect: Drawn | None = None,
    pattern: Drawn | None = None,
    p: float | None = None,
) -> Pipeline:
    """Fills a rectangle of drawn area and aspect with noise per pixel, or with `fill`; alone, with probability one half.

    The rectangle lies inside the image. The published code redraws, up to 100 times, what does not fit; here the aspect
    is moved to the nearest that fits, in rows and in columns alike, and the area stays. Noise is uniform over 0..255 on
    pixels and has mean 0 and variance 1 on normalised values. The constant is 0 in the values the stage sees, the mean colour
    after normalising; `fill` is a grey level from 0 to 255, painted before normalising.
    """

def resized_crop(
    *,
    interpolation: Literal["bilinear", "bicubic"] = "bilinear",
    area: Drawn | None = None,
    aspect: Drawn | None = None,
    top: Drawn | None = None,
    left: Drawn | None = None,
    p: float | None = None,
) -> Pipeline:
    """Cuts a window of drawn area and aspect and resizes it to the image's size, with Pillow's resampling.

    A window that does not fit is cut to the side that is too long, where torchvision redraws ten times and then takes
    the centre. `top` and `left` in [0, 1] place the window between the two ends of its way.
    """

def rotate(
    *,
    interpolation: Literal["nearest", "bilinear"] = "nearest",
    fill: int = 0,
    degrees: Drawn | None = None,
    p: float | None = None,
) -> Pipeline:
    """Turns the image about its centre, counter-clockwise for positive degrees."""

def sample_pairing(*, other: Drawn | None = None, p: float | None = None) -> Pipeline:
    """Blends another image in with weight `other`; the label stays the image's own."""

def sharpness(*, factor: Drawn | None = None, p: float | None = None) -> Pipeline:
    """Blends with a smoothed version: factor 0 is that, 1 the image, above 1 beyond it."""

def shear_x(
    *,
    interpolation: Literal["nearest", "bilinear"] = "nearest",
    fill: int = 0,
    slope: Drawn | None = None,
    p: float | None = None,
) -> Pipeline:
    """Shifts rows sideways, growing downwards, by `slope` pixels per pixel."""

def shear_y(
    *,
    interpolation: Literal["nearest", "bilinear"] = "nearest",
    fill: int = 0,
    slope: Drawn | None = None,
    p: float | None = None,
) -> Pipeline:
    """Shifts columns up or down, growing to the right, by `slope` pixels per pixel."""

def solarize(*, threshold: Drawn | None = None, p: float | None = None) -> Pipeline:
    """Inverts all pixels at or above a threshold: 0 inverts all, 256 none."""

def solarize_add(*, amount: Drawn | None = None, p: float | None = None) -> Pipeline:
    """Adds `amount` to all pixels below 128, clipped; the others stay."""

def swirl(*, radius: float = 100.0, strength: Drawn | None = None, p: float | None = None) -> Pipeline:
    """Turns the image about its centre by `strength` radians there, fading to about 1/1000 of it `radius` pixels out."""

def translate_x(*, fill: int = 0, reach: int | None = None, fraction: Drawn | None = None, p: float | None = None) -> Pipeline:
    """Moves the image by a fraction of its width: left for positive ones, as Pillow's coefficient does.

    The shift is cut to whole pixels, towards zero, as in the published policies; a fraction of k/W moves an image of
    width W by k. With `reach`, `fraction` is of so many pixels instead, whatever the width, for policies that are
    published in pixels.
    """

def translate_y(*, fill: int = 0, reach: int | None = None, fraction: Drawn | None = None, p: float | None = None) -> Pipeline:
    """Moves the image by a fraction of its height: up for positive ones, as Pillow's coefficient does.

    The shift is cut to whole pixels, towards zero, as in the published policies; a fraction of k/W moves an image of
    height W by k. With `reach`, `fraction` is of so many pixels instead, whatever the height, for policies that are
    published in pixels.
    """

def zoom(
    *,
    interpolation: Literal["nearest", "bilinear"] = "nearest",
    fill: int = 0,
    factor: Drawn | None = None,
    p: float | None = None,
) -> Pipeline:
    """Enlarges the image about its centre by `factor`; below 1 shrinks it."""
