"""Elastic: shifts every pixel by a smooth random field."""

import math
from typing import Annotated

import torch
from torch import Tensor

from augury.augment.forms.backends import backend
from augury.core.laws import Uniform
from augury.core.op import Op, Parameter, Values
from augury.core.options import Interval
from augury.core.registry import register


@register("op", "elastic", source="Simard, Steinkraus and Platt 2003, section 2; Ratner et al. 2017 (arXiv:1709.01643), section 5")
def elastic(*, sigma: Annotated[float, Interval(0.1, 100)] = 4.0) -> Op:
    """Moves every pixel by uniform noise in [-1, 1], smoothed by a Gaussian of `sigma` pixels and multiplied by `alpha`.

    `pattern` chooses the field, so that a replay repeats it.
    """

    def reads(values: Values, size: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        field = _field(values["pattern"], height, width, sigma) * values["alpha"].double()[:, None, None, None]
        row = torch.arange(height, device=size.device, dtype=torch.float64)[:, None] + field[:, 0]
        column = torch.arange(width, device=size.device, dtype=torch.float64) + field[:, 1]
        return row, column

    def run(images: Tensor, values: Values, size: Tensor) -> Tensor:
        return backend(images.device).displaced(images, *reads(values, size, *images.shape[-2:]), size)

    parameters = {
        "alpha": Parameter(Uniform(0, 34), Interval(0, 10000), "pixels before smoothing"),
        "pattern": Parameter(Uniform(0, 1), Interval(0, 1), "which field"),
    }
    return Op("elastic", "map", run, parameters, identity={"alpha": 0.0}, reads=reads)


def _field(pattern: Tensor, height: int, width: int, sigma: float) -> Tensor:
    """float64 [n,2,H,W]: smoothed noise over the plane, a pure function of pattern and place; it does not end at the border."""
    reach = math.ceil(3 * sigma)
    weights = [math.exp(-0.5 * (k / sigma) ** 2) for k in range(-reach, reach + 1)]
    weights = [weight / sum(weights) for weight in weights]
    key = (pattern.double() * 2**24).to(torch.int64)
    return backend(pattern.device).smooth_field(key, weights, height, width)
