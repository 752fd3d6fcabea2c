"""Zoom: enlarges or shrinks the image about its centre."""

from typing import Annotated, Literal

from torch import Tensor

from augury.augment.ops._lower import affine
from augury.core.laws import LogUniform
from augury.core.op import Op, Parameter, Parts, Values
from augury.core.options import Interval
from augury.core.registry import register


@register("op", "zoom", source="Ratner et al. 2017 (TANDA, arXiv:1709.01643), section 5; Pillow Image.transform AFFINE")
def zoom(*, interpolation: Literal["nearest", "bilinear"] = "nearest", fill: Annotated[int, Interval(0, 255)] = 0) -> Op:
    """Enlarges the image about its centre by `factor`; a factor below 1 shrinks it."""

    def lower(values: Values, size: Tensor) -> Parts:
        step = 1 / values["factor"].double()
        y, x = size[:, 0].double() / 2, size[:, 1].double() / 2
        return affine((step, 0.0, x - step * x, 0.0, step, y - step * y), interpolation == "bilinear", fill)

    factor = Parameter(LogUniform(0.75, 1.3333), Interval(0.01, 100), "times")
    return Op("zoom", "warp", lower, {"factor": factor}, identity={"factor": 1.0})
