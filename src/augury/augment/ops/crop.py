"""Crop: a window of the original size from the padded image."""

from typing import Annotated

import torch
from torch import Tensor

from augury.augment.ops._lower import affine
from augury.core.laws import Uniform
from augury.core.op import Op, Parameter, Parts, Values
from augury.core.options import Interval
from augury.core.registry import register


@register("op", "crop", source="He et al. 2016 (arXiv:1512.03385), section 4.2; torchvision RandomCrop")
def crop(*, padding: Annotated[int, Interval(0)] | None = None, fill: Annotated[int, Interval(0, 255)] = 0) -> Op:
    """Pads by `padding` pixels (by default an eighth of the side, 4 of 32) and cuts a window of the original size.

    `top` and `left` in [0, 1] place the window, 0.5 being no shift; all 2 x padding + 1 offsets are equally likely.
    """

    def lower(values: Values, size: Tensor) -> Parts:
        def offset(position: Tensor, side: Tensor) -> Tensor:
            pad = torch.full_like(side, padding) if padding is not None else (side + 4) // 8
            return torch.minimum((position * (2 * pad + 1)).to(torch.int64), 2 * pad) - pad

        top, left = offset(values["top"], size[:, 0]), offset(values["left"], size[:, 1])
        return affine((1.0, 0.0, left, 0.0, 1.0, top), bilinear=False, fill=fill)

    position = Parameter(Uniform(0, 1), Interval(0, 1), "of the way through the padded image")
    return Op("crop", "warp", lower, {"top": position, "left": position}, intensive=False, identity={"top": 0.5, "left": 0.5})
