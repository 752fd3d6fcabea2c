"""Shear along y: about the top left corner."""

from typing import Annotated, Literal

from torch import Tensor

from augury.augment.ops._lower import affine
from augury.core.laws import Uniform
from augury.core.op import Op, Parameter, Parts, Values
from augury.core.options import Interval
from augury.core.registry import register


@register("op", "shear_y", source="Cubuk et al. 2019 (AutoAugment, arXiv:1805.09501), table 6; Pillow Image.transform AFFINE")
def shear_y(*, interpolation: Literal["nearest", "bilinear"] = "nearest", fill: Annotated[int, Interval(0, 255)] = 0) -> Op:
    """Shifts columns up or down, growing to the right, by `slope` pixels per pixel."""

    def lower(values: Values, size: Tensor) -> Parts:
        return affine((1.0, 0.0, 0.0, values["slope"], 1.0, 0.0), interpolation == "bilinear", fill)

    slope = Parameter(Uniform(-0.3, 0.3), Interval(-10, 10), "pixels per pixel")
    return Op("shear_y", "warp", lower, {"slope": slope}, identity={"slope": 0.0})
