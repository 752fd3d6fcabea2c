"""albumentations, with Pillow for what it has no transform for."""

from typing import Any

import albumentations as A
import numpy as np
from PIL import Image, ImageEnhance, ImageOps


def constant(function: Any, **numbers: Any) -> Any:
    """A transform of the image alone, of a function of Pillow's."""
    return A.Lambda(image=lambda image, **_: np.asarray(function(Image.fromarray(image), **numbers)), p=1)


def sharpness(image: Image.Image, factor: float) -> Image.Image:
    return ImageEnhance.Sharpness(image).enhance(factor)


def equalize(image: Image.Image) -> Image.Image:
    return ImageOps.equalize(image)


def auto_contrast(image: Image.Image) -> Image.Image:
    return ImageOps.autocontrast(image)


def solarize_add(image: Image.Image, amount: float) -> Image.Image:
    return image.point(lambda level: min(255, max(0, level + int(amount))) if level < 128 else level)
