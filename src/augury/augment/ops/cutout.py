"""Cutout: removes a square of the image."""

from typing import Annotated

import torch
from torch import Tensor

from augury.augment.forms.region import Content
from augury.augment.ops._lower import filling
from augury.core.laws import Constant
from augury.core.op import UNUSED, Op, Parameter, Parts, Values
from augury.core.options import Interval
from augury.core.registry import register


@register("op", "cutout", source="DeVries and Taylor 2017 (arXiv:1708.04552), section 3")
def cutout(
    *,
    length: Annotated[int, Interval(0)] | None = None,
    fill: Annotated[float, Interval(0, 255)] | None = None,
    reach: Annotated[int, Interval(1)] | None = None,
) -> Op:
    """Removes a square centred anywhere in the image and clipped at its border; by default half the side (16 of 32).

    `length` in pixels, or the parameter `fraction` of the shorter side, or of `reach` pixels if that is given. Without `fill`, the
    square is 0 in the values the stage works on: the mean colour after normalising, as published, and black on uint8 pixels.
    `fill` is a grey level from 0 to 255; with it, the operation is applied to pixels, before normalising.
    """

    def shape(values: Values, size: Tensor) -> Tensor:
        whole = torch.minimum(size[:, 0], size[:, 1]) if reach is None else torch.full_like(size[:, 0], reach)
        side = (values["fraction"] * whole).to(torch.int64)
        side = side if length is None else torch.full_like(side, length)
        return side[:, None].expand(-1, 2)

    def lower(values: Values, size: Tensor) -> Parts:
        return filling(Content.CONSTANT, fill or 0.0)

    fraction = Parameter(Constant(0.5), Interval(0, 2), "of the shorter side" if length is None else UNUSED)
    return Op(
        "cutout",
        "region",
        lower,
        {"fraction": fraction},
        domain="any" if fill is None else "pixels",
        shape=shape,
        place=centred,
        candidates="centred",
        identity={"fraction": 0.0},
    )


def centred(u: Tensor, extent: Tensor, size: Tensor) -> Tensor:
    """A box whose centre is uniform over all pixels: u float32 [n,2] to its top left corner, which may lie outside."""
    centre = torch.minimum((u * size).to(torch.int64), size - 1)
    return centre - extent // 2
