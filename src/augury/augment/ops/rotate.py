"""Rotate: about the centre."""

import math
from typing import Annotated, Literal

import torch
from torch import Tensor

from augury.augment.forms.warp import Warp
from augury.augment.ops._lower import affine
from augury.core.laws import Uniform
from augury.core.op import Op, Parameter, Values
from augury.core.options import Interval
from augury.core.registry import register


@register("op", "rotate", source="Cubuk et al. 2019 (AutoAugment, arXiv:1805.09501), table 6; Pillow Image.rotate")
def rotate(*, interpolation: Literal["nearest", "bilinear"] = "nearest", fill: Annotated[int, Interval(0, 255)] = 0) -> Op:
    """Turns the image about its centre, counter-clockwise for positive degrees."""

    def lower(values: Values, size: Tensor) -> Warp:
        radians = -(values["degrees"].double() % 360) * (math.pi / 180)
        cosine, sine = _rounded(radians.cos()), _rounded(radians.sin())
        y, x = size[:, 0].double() / 2, size[:, 1].double() / 2
        right = cosine * -x + sine * -y + x
        down = -sine * -x + cosine * -y + y
        return affine([cosine, sine, right, -sine, cosine, down], x, interpolation == "bilinear", fill)

    degrees = Parameter(Uniform(-30, 30), Interval(-math.inf, math.inf), "degrees")
    return Op("rotate", "warp", lower, {"degrees": degrees}, identity={"degrees": 0.0})


def _rounded(value: Tensor) -> Tensor:
    """Fifteen decimals, as Pillow rounds its matrix, so that right angles have exact zeros.

    Python's round looks at the exact number, but the product with 1e15 is itself rounded: what it lost (Dekker's product)
    decides near the middle between two decimals, as for 45 degrees.
    """
    scaled = value * _DECIMALS
    high = value * _SPLIT - (value * _SPLIT - value)
    low = value - high
    lost = (high * _DECIMALS_HIGH - scaled) + high * _DECIMALS_LOW + low * _DECIMALS_HIGH + low * _DECIMALS_LOW
    whole = torch.round(scaled)
    rest = (scaled - whole) + lost
    return (whole + (rest > 0.5).double() - (rest < -0.5).double()) / _DECIMALS


_DECIMALS = 1e15
_SPLIT = 134217729.0  # 2^27 + 1: parts a float64 into two halves whose products are exact
_DECIMALS_HIGH = _DECIMALS * _SPLIT - (_DECIMALS * _SPLIT - _DECIMALS)
_DECIMALS_LOW = _DECIMALS - _DECIMALS_HIGH
