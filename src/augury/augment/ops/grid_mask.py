"""GridMask: removes a regular grid of squares."""

import math
from typing import Annotated

import torch
from torch import Tensor

from augury.augment.forms.region import Content
from augury.augment.ops._lower import filling
from augury.core.laws import Constant, Law, Uniform
from augury.core.op import Op, Parameter, Parts, Values
from augury.core.options import Interval
from augury.core.registry import register


@register("op", "grid_mask", source="Chen et al. 2020 (arXiv:2001.04086), section 3.2")
def grid_mask(*, rotate: bool = False, fill: Annotated[float, Interval(0, 255)] | None = None) -> Op:
    """Removes a regular grid of squares of random period and offset; `ratio` is the width of the strips left between them.

    The default periods, 96 to 224 of 224 pixels, are the published ones as fractions of the shorter side. With `rotate`
    the grid is turned by any angle, as the published ImageNet code does. Without `fill` the squares become 0 in the values the
    stage sees, the mean colour after normalising; `fill` is a grey level from 0 to 255, painted before normalising.
    """

    def lower(values: Values, size: Tensor) -> Parts:
        side = size.amin(1).double()
        period = (values["period"].double() * side).round().clamp(min=2)
        band = (period * values["ratio"].double()).round().clamp(min=1)
        band = torch.minimum(band, period)
        offset = [(values[name].double() * period).floor() for name in ("down", "right")]
        turn = values["turn"].double() * (2 * math.pi)
        grid = (period, band, *offset, (turn.cos() * 65536).round(), (turn.sin() * 65536).round())
        return filling(Content.GRID, fill or 0.0, grid=grid)

    free: Law = Uniform(0, 1)
    parameters = {
        "period": Parameter(Uniform(96 / 224, 1), Interval(0, 2), "of the shorter side"),
        "ratio": Parameter(Constant(0.6), Interval(0, 1), "of the period"),
        "down": Parameter(free, Interval(0, 1), "of the period"),
        "right": Parameter(free, Interval(0, 1), "of the period"),
        "turn": Parameter(free if rotate else Constant(0.0), Interval(-1, 1), "turns"),
    }
    return Op(
        "grid_mask", "region", lower, parameters, domain="any" if fill is None else "pixels", shape=_whole, place=_origin,
        identity={"ratio": 1.0},
    )  # fmt: skip


def _whole(values: Values, size: Tensor) -> Tensor:
    return size


def _origin(u: Tensor, extent: Tensor, size: Tensor) -> Tensor:
    return torch.zeros_like(extent)
