"""albumentations' operations at the strengths of torchvision's policies, for equal work."""

import math
from collections.abc import Callable
from typing import Any


def albumentations_space(A: object, side: int, low: float, high: float) -> list[Any]:
    """torchvision's 14 operations at strengths from `low` to `high` in [0, 1]."""
    names = ("Identity", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color", "Contrast", "Sharpness",
             "Posterize", "Solarize", "AutoContrast", "Equalize")  # fmt: skip
    return [albumentations_op(A, name, side, low, high, 1.0) for name in names]


def albumentations_op(A: Any, name: str, side: int, low: float, high: float, p: float) -> Any:
    degrees, pixels, factor = math.degrees(math.atan(0.3 * high)), int(150 / 331 * side * high), 0.9 * high
    made: dict[str, Callable[[], Any]] = {
        "Identity": lambda: A.NoOp(p=p),
        "ShearX": lambda: A.Affine(shear={"x": (-degrees, degrees), "y": (0, 0)}, interpolation=0, p=p),
        "ShearY": lambda: A.Affine(shear={"x": (0, 0), "y": (-degrees, degrees)}, interpolation=0, p=p),
        "TranslateX": lambda: A.Affine(translate_px={"x": (-pixels, pixels), "y": (0, 0)}, interpolation=0, p=p),
        "TranslateY": lambda: A.Affine(translate_px={"x": (0, 0), "y": (-pixels, pixels)}, interpolation=0, p=p),
        "Rotate": lambda: A.Rotate((-30 * high, 30 * high), interpolation=0, p=p),
        "Brightness": lambda: A.RandomBrightnessContrast((-factor, factor), (0, 0), p=p),
        "Contrast": lambda: A.RandomBrightnessContrast((0, 0), (-factor, factor), p=p),
        "Color": lambda: A.ColorJitter((1, 1), (1, 1), (1 - factor, 1 + factor), (0, 0), p=p),
        "Sharpness": lambda: A.Sharpen((0.1, 0.1 + factor / 2), kernel_size=3, p=p),
        "Posterize": lambda: A.Posterize((8 - round(4 * high), 8 - round(4 * low)), p=p),
        "Solarize": lambda: A.Solarize((1 - high, 1 - low), p=p),
        "AutoContrast": lambda: A.AutoContrast(method="pil", p=p),
        "Equalize": lambda: A.Equalize(mode="pil", p=p),
        "Invert": lambda: A.InvertImg(p=p),
    }
    return made[name]()
