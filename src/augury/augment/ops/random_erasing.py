"""Random erasing: fills a rectangle inside the image with noise or a constant."""

from typing import Annotated, Literal

import torch
from torch import Tensor

from augury.augment.forms.region import Content
from augury.augment.ops._lower import filling
from augury.core.laws import Uniform
from augury.core.op import Op, Parameter, Parts, Values
from augury.core.options import Interval
from augury.core.registry import register


@register("op", "random_erasing", source="Zhong et al. 2020 (arXiv:1708.04896), section 3 and algorithm 1")
def random_erasing(
    *, content: Literal["noise", "constant"] = "noise", fill: Annotated[float, Interval(0, 255)] | None = None
) -> Op:
    """Fills a rectangle of random area and aspect with noise per pixel, or with `fill`; by itself, with probability 0.5.

    The rectangle is inside the image. If one does not fit, the published code draws again up to 100 times; here the aspect
    ratio is changed to the nearest that fits, for rows and columns alike, and the area is kept. Noise is uniform over 0..255 on
    pixels and has mean 0 and variance 1 on normalised values. The constant is 0 in the values the stage works on, which is the
    mean colour after normalising; `fill` is a grey level from 0 to 255, painted before normalising.
    """

    def lower(values: Values, size: Tensor) -> Parts:
        if content == "constant":
            return filling(Content.CONSTANT, fill or 0.0)
        return filling(Content.NOISE, pattern=(values["pattern"].double() * 2**24).to(torch.int64))

    parameters = {
        "area": Parameter(Uniform(0.02, 0.4), Interval(0, 1), "of the image"),
        "aspect": Parameter(Uniform(0.3, 3.3333), Interval(0.01, 100), "height by width"),
        "pattern": Parameter(Uniform(0, 1), Interval(0, 1), "which noise"),
    }
    return Op(
        "random_erasing", "region", lower, parameters, domain="any" if fill is None else "pixels", p=0.5, shape=_shape, place=_place
    )


def _shape(values: Values, size: Tensor) -> Tensor:
    height, width = size[:, 0].double(), size[:, 1].double()
    whole = values["area"].double() * height * width
    tall = (whole * values["aspect"].double()).sqrt()
    rows = torch.minimum(torch.maximum(tall, whole / width.clamp(min=1)).round(), height)
    columns = torch.minimum((whole / rows.clamp(min=1)).round(), width)
    return torch.stack([rows, columns], 1).to(torch.int64)


def _place(u: Tensor, extent: Tensor, size: Tensor) -> Tensor:
    room = size - extent
    return torch.minimum((u * (room + 1)).to(torch.int64), room)
