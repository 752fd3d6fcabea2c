"""Hue: rotates all hues around the colour circle."""

import torch
from torch import Tensor

from augury.augment.forms.backends import backend
from augury.core.laws import Uniform
from augury.core.op import Op, Parameter, Values
from augury.core.options import Interval
from augury.core.registry import register


@register(
    "op", "hue", source="Pillow Image.convert('HSV'); torchvision adjust_hue; Ratner et al. 2017 (arXiv:1709.01643), section 5"
)
def hue() -> Op:
    """Rotates all hues by `shift` of the colour circle, in Pillow's 8-bit HSV; a shift under 1/255 changes nothing."""
    shift = Parameter(Uniform(-0.1, 0.1), Interval(-0.5, 0.5), "turns")
    return Op("hue", "map", _turned, {"shift": shift}, identity={"shift": 0.0}, reads="in place", rgb=True)


def _turned(images: Tensor, values: Values, size: Tensor) -> Tensor:
    if images.shape[1] == 1:
        return images.clone()
    levels = (values["shift"].double() * 255).trunc().to(torch.int64)
    turned: Tensor = backend(images.device).hue(images, levels)
    return turned
