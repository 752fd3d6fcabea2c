"""Swirl: rotates pixels about the centre, less with distance."""

import math
from typing import Annotated

import torch
from torch import Tensor

from augury.augment.forms.backends import backend
from augury.core.laws import Uniform
from augury.core.op import Op, Parameter, Values
from augury.core.options import Interval
from augury.core.registry import register


@register("op", "swirl", source="Ratner et al. 2017 (TANDA, arXiv:1709.01643), section 5; scikit-image transform.swirl")
def swirl(*, radius: Annotated[float, Interval(1)] = 100.0) -> Op:
    """Rotates by `strength` radians at the image's centre, fading to about 1/1000 of it at a distance of `radius` pixels."""

    def reads(values: Values, size: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        middle = ((size - 1).double() / 2)[:, :, None, None]
        y = torch.arange(height, device=size.device)[:, None] - middle[:, 0]
        x = torch.arange(width, device=size.device) - middle[:, 1]
        distance = (x * x + y * y).sqrt()
        turn = values["strength"].double()[:, None, None] * (-distance / (radius / 5 * math.log(2))).exp()
        cosine, sine = turn.cos(), turn.sin()
        row = y * cosine + x * sine + middle[:, 0]
        column = x * cosine - y * sine + middle[:, 1]
        return row, column

    def run(images: Tensor, values: Values, size: Tensor) -> Tensor:
        return backend(images.device).displaced(images, *reads(values, size, *images.shape[-2:]), size)

    strength = Parameter(Uniform(-0.25, 0.25), Interval(-100, 100), "radians")
    return Op("swirl", "map", run, {"strength": strength}, identity={"strength": 0.0}, reads=reads)
