"""Rotate: rotates the image about its centre."""

import math
from typing import Annotated, Literal

import torch
from torch import Tensor

from augury.augment.ops._lower import affine
from augury.core.laws import Uniform
from augury.core.op import Op, Parameter, Parts, Values
from augury.core.options import Interval
from augury.core.registry import register


@register("op", "rotate", source="Cubuk et al. 2019 (AutoAugment, arXiv:1805.09501), table 6; Pillow Image.rotate")
def rotate(*, interpolation: Literal["nearest", "bilinear"] = "nearest", fill: Annotated[int, Interval(0, 255)] = 0) -> Op:
    """Rotates the image about its centre, counter-clockwise for positive degrees."""

    def lower(values: Values, size: Tensor) -> Parts:
        radians = values["degrees"].double() % 360 * (-math.pi / 180)
        cosine, sine = _rounded(torch.stack([radians.cos(), radians.sin()])).unbind(0)
        y, x = (size.double() / 2).unbind(1)
        # Pillow adds up cos * -x + sin * -y + x and -sin * -x + cos * -y + y: the same numbers with fewer signs.
        right = x - (cosine * x + sine * y)
        down = sine * x - cosine * y + y
        return affine((cosine, sine, right, -sine, cosine, down), interpolation == "bilinear", fill)

    degrees = Parameter(Uniform(-30, 30), Interval(-math.inf, math.inf), "degrees")
    return Op("rotate", "warp", lower, {"degrees": degrees}, identity={"degrees": 0.0})


def _rounded(value: Tensor) -> Tensor:
    """Fifteen decimals, as Pillow rounds its matrix, so that right angles have exact zeros.

    Python rounds the exact decimal value. The product with 1e15 is itself rounded, to steps of an eighth, and may end on
    a half from below; its error, exact by Dekker's splitting into halves of 26 bits, decides.
    """
    product = value * 1e15
    high = value * 134217729.0
    high = high - (high - value)
    low = value - high
    upper, lower = 1e15 + 3768320.0, -3768320.0
    error = ((high * upper - product) + high * lower + low * upper) + low * lower
    whole = product.round()
    rest = (product - whole) + error
    return (whole + rest.round()) / 1e15  # an exact half is no reason to move: it rounds to 0
