"""Resized crop: enlarges a window of random area and aspect to the size of the image."""

from typing import Literal

import torch
from torch import Tensor

from augury.augment.forms.separable import Kernel, Separable, taps_of
from augury.core.laws import LogUniform, Uniform
from augury.core.op import Op, Parameter, Values
from augury.core.options import Interval
from augury.core.registry import register


@register("op", "resized_crop", source="Szegedy et al. 2015 (arXiv:1409.4842), section 6; torchvision RandomResizedCrop")
def resized_crop(*, interpolation: Literal["bilinear", "bicubic"] = "bilinear") -> Op:
    """Cuts a window of random area and aspect and resizes it to the image's size, with Pillow's resampling.

    A window that does not fit is trimmed on the side that is too long; torchvision draws again ten times and then takes the
    centre. `top` and `left` in [0, 1] place the window between its two extreme positions.
    """
    kernel = Kernel.TRIANGLE if interpolation == "bilinear" else Kernel.CUBIC

    def lower(values: Values, size: Tensor) -> Separable:
        height, width = size[:, 0].double(), size[:, 1].double()
        whole, aspect = values["area"].double() * height * width, values["aspect"].double()
        rows = torch.minimum((whole / aspect).sqrt().round().clamp(min=1), height)
        columns = torch.minimum((whole * aspect).sqrt().round().clamp(min=1), width)
        top = (values["top"].double() * (height - rows + 1)).floor().clamp(max=height - rows)
        left = (values["left"].double() * (width - columns + 1)).floor().clamp(max=width - columns)
        return Separable(kernel, taps_of(kernel, 1.0), torch.stack([top, top + rows], 1), torch.stack([left, left + columns], 1))

    place = Parameter(Uniform(0, 1), Interval(0, 1), "of the way")
    parameters = {
        "area": Parameter(Uniform(0.08, 1), Interval(0, 1), "of the image"),
        "aspect": Parameter(LogUniform(3 / 4, 4 / 3), Interval(0.01, 100), "width by height"),
        "top": place,
        "left": place,
    }
    return Op("resized_crop", "separable", lower, parameters, intensive=False)
