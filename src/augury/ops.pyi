# Written by tools/stubs.py; do not edit.
from typing import Literal

from augury.augment.pipeline import Pipeline
from augury.augment.typed import Drawn

def auto_contrast(*, p: float | None = None) -> Pipeline:
    """Stretches every channel so that its darkest level becomes 0 and its lightest 255."""

def brightness(*, factor: Drawn | None = None, p: float | None = None) -> Pipeline:
    """Blends with a black image: factor 0 gives black, 1 the original, above 1 extrapolates."""

def color(*, factor: Drawn | None = None, p: float | None = None) -> Pipeline:
    """Blends with the grey version: factor 0 gives grey, 1 the original, above 1 extrapolates."""

def contrast(*, mean: Literal["grey", "pixel_count"] = "grey", factor: Drawn | None = None, p: float | None = None) -> Pipeline:
    """Blends with the mean grey: factor 0 gives a uniform grey, 1 the original, above 1 extrapolates.

    `mean=pixel_count` reproduces a bug of AutoAugment's released TPU code, which blends with the number of pixels
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
    """Pads by `padding` pixels (by default an eighth of the side, 4 of 32) and cuts a window of the original size.

    `top` and `left` in [0, 1] place the window, 0.5 being no shift; all 2 x padding + 1 offsets are equally likely.
    """

def cutmix(*, alpha: float = 1.0, batch_wide: bool = False, weight: Drawn | None = None, p: float | None = None) -> Pipeline:
    """Pastes a box from the same position of another image; labels are weighted by the exact remaining area. By itself, p = 0.5.

    `weight` from Beta(alpha, alpha) determines the sides, H and W times sqrt(1 - weight), truncated to whole pixels; the centre
    is uniform and the box is clipped. Every image draws its own weight, box and partner; with `batch_wide`, the whole batch
    shares one weight and box, as in the published code. p = 0.5 is the paper's CIFAR setting; for ImageNet it is 1.
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

    `length` in pixels, or the parameter `fraction` of the shorter side, or of `reach` pixels if that is given. Without `fill`, the
    square is 0 in the values the stage works on: the mean colour after normalising, as published, and black on uint8 pixels.
    `fill` is a grey level from 0 to 255; with it, the operation is applied to pixels, before normalising.
    """

def dilate(*, footprint: Literal["square", "cross"] = "square", width: Drawn | None = None, p: float | None = None) -> Pipeline:
    """Replaces each pixel by the brightest in a square or cross of side `width`: bright strokes get thicker."""

def elastic(*, sigma: float = 4.0, alpha: Drawn | None = None, pattern: Drawn | None = None, p: float | None = None) -> Pipeline:
    """Moves every pixel by uniform noise in [-1, 1], smoothed by a Gaussian of `sigma` pixels and multiplied by `alpha`.

    `pattern` chooses the field, so that a replay repeats it.
    """

def equalize(*, p: float | None = None) -> Pipeline:
    """Spreads the levels of every channel so that all are used about equally often."""

def erode(*, footprint: Literal["square", "cross"] = "square", width: Drawn | None = None, p: float | None = None) -> Pipeline:
    """Replaces each pixel by the darkest in a square or cross of side `width`: bright strokes get thinner."""

def flip(*, p: float | None = None) -> Pipeline:
    """Mirrors the image left to right; by itself, with probability 0.5."""

def flip_vertical(*, p: float | None = None) -> Pipeline:
    """Mirrors the image top to bottom; by itself, with probability 0.5."""

def gaussian_blur(*, taps: int = 13, sigma: Drawn | None = None, p: float | None = None) -> Pipeline:
    """Smooths the image with a Gaussian of `sigma` pixels and `taps` weights, mirrored at the border.

    13 taps cover three standard deviations of the largest default sigma; an even number is increased by one.
    """

def grayscale(*, p: float | None = None) -> Pipeline:
    """Replaces the image by its grey version in all channels; by itself, with probability 0.1."""

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
    """Removes a regular grid of squares of random period and offset; `ratio` is the width of the strips left between them.

    The default periods, 96 to 224 of 224 pixels, are the published ones as fractions of the shorter side. With `rotate`
    the grid is turned by any angle, as the published ImageNet code does. Without `fill` the squares become 0 in the values the
    stage sees, the mean colour after normalising; `fill` is a grey level from 0 to 255, painted before normalising.
    """

def hue(*, shift: Drawn | None = None, p: float | None = None) -> Pipeline:
    """Rotates all hues by `shift` of the colour circle, in Pillow's 8-bit HSV; a shift under 1/255 changes nothing."""

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

    The patch is taken after the policy's earlier operations, so that it looks like the rest of the image. `source` is the
    window's side as a fraction of the shorter side; both centres are uniform over the pixels. `inaugment` is the full method,
    with the policy on image and patch, sizes and presets.
    """

def invert(*, p: float | None = None) -> Pipeline:
    """255 minus every pixel."""

def mixup(*, alpha: float = 1.0, batch_wide: bool = False, weight: Drawn | None = None, p: float | None = None) -> Pipeline:
    """Averages the image and another, and their labels, with `weight` and 1 - weight; weight from Beta(alpha, alpha).

    Every image draws its own weight and partner; with `batch_wide`, the whole batch shares one weight, as in the published code.
    Gradual refinement reduces alpha to 0 (He et al. 2019, arXiv:1909.09148, section 4.1).
    """

def posterize(*, bits: Drawn | None = None, p: float | None = None) -> Pipeline:
    """Keeps the top `bits` bits of every pixel: 8 changes nothing, 0 gives black (Pillow 13 raises an error)."""

def random_erasing(
    *,
    content: Literal["noise", "constant"] = "noise",
    fill: float | None = None,
    area: Drawn | None = None,
    aspect: Drawn | None = None,
    pattern: Drawn | None = None,
    p: float | None = None,
) -> Pipeline:
    """Fills a rectangle of random area and aspect with noise per pixel, or with `fill`; by itself, with probability 0.5.

    The rectangle is inside the image. If one does not fit, the published code draws again up to 100 times; here the aspect
    ratio is changed to the nearest that fits, for rows and columns alike, and the area is kept. Noise is uniform over 0..255 on
    pixels and has mean 0 and variance 1 on normalised values. The constant is 0 in the values the stage works on, which is the
    mean colour after normalising; `fill` is a grey level from 0 to 255, painted before normalising.
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
    """Cuts a window of random area and aspect and resizes it to the image's size, with Pillow's resampling.

    A window that does not fit is trimmed on the side that is too long; torchvision draws again ten times and then takes the
    centre. `top` and `left` in [0, 1] place the window between its two extreme positions.
    """

def rotate(
    *,
    interpolation: Literal["nearest", "bilinear"] = "nearest",
    fill: int = 0,
    degrees: Drawn | None = None,
    p: float | None = None,
) -> Pipeline:
    """Rotates the image about its centre, counter-clockwise for positive degrees."""

def sample_pairing(*, other: Drawn | None = None, p: float | None = None) -> Pipeline:
    """Blends another image in with weight `other`; the label is not changed."""

def sharpness(*, factor: Drawn | None = None, p: float | None = None) -> Pipeline:
    """Blends with a smoothed version: factor 0 gives that version, 1 the original, above 1 sharpens."""

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
    """Adds `amount` to all pixels below 128, clipped to 255; the others are unchanged."""

def swirl(*, radius: float = 100.0, strength: Drawn | None = None, p: float | None = None) -> Pipeline:
    """Rotates by `strength` radians at the image's centre, fading to about 1/1000 of it at a distance of `radius` pixels."""

def translate_x(*, fill: int = 0, reach: int | None = None, fraction: Drawn | None = None, p: float | None = None) -> Pipeline:
    """Moves the image by a fraction of its width: to the left if positive, as with Pillow's coefficient.

    The shift is truncated to whole pixels, as in the published policies; a fraction of k/W moves an image of width W by k.
    With `reach`, `fraction` is relative to that many pixels instead of the width, for policies published in pixels.
    """

def translate_y(*, fill: int = 0, reach: int | None = None, fraction: Drawn | None = None, p: float | None = None) -> Pipeline:
    """Moves the image by a fraction of its height: up if positive, as with Pillow's coefficient.

    The shift is truncated to whole pixels, as in the published policies; a fraction of k/H moves an image of height H by k.
    With `reach`, `fraction` is relative to that many pixels instead of the height, for policies published in pixels.
    """

def zoom(
    *,
    interpolation: Literal["nearest", "bilinear"] = "nearest",
    fill: int = 0,
    factor: Drawn | None = None,
    p: float | None = None,
) -> Pipeline:
    """Enlarges the image about its centre by `factor`; a factor below 1 shrinks it."""
