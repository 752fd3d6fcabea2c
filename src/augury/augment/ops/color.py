"""Color: the image blended with its grey version."""

import torch
from torch import Tensor

from augury.augment.forms.blend import Blend, Degenerate
from augury.core.laws import Uniform
from augury.core.op import Op, Parameter, Values
from augury.core.options import Interval
from augury.core.registry import register


@register("op", "color", source="Cubuk et al. 2019 (AutoAugment, arXiv:1805.09501), table 6; Pillow ImageEnhance.Color")
def color() -> Op:
    """Blends with its grey version: factor 0 is that, 1 the image, above 1 beyond it."""
    factor = Parameter(Uniform(0.1, 1.9), Interval(0, 100), "times")
    return Op("color", "blend", _lower, {"factor": factor}, identity={"factor": 1.0})


def _lower(values: Values, size: Tensor) -> Blend:
    return Blend(torch.full((len(size),), int(Degenerate.GREY), device=size.device), values["factor"])
