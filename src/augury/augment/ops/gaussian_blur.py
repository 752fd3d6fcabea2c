"""Gaussian blur."""

from typing import Annotated

from torch import Tensor

from augury.augment.forms.separable import Kernel, Separable
from augury.core.laws import Uniform
from augury.core.op import Op, Parameter, Values
from augury.core.options import Interval
from augury.core.registry import register


@register("op", "gaussian_blur", source="Chen et al. 2020 (SimCLR, arXiv:2002.05709), appendix A; torchvision GaussianBlur")
def gaussian_blur(*, taps: Annotated[int, Interval(1, 255)] = 13) -> Op:
    """Smooths the image with a Gaussian of `sigma` pixels and `taps` weights, mirrored at the border.

    13 taps cover three standard deviations of the largest default sigma; an even number is increased by one.
    """

    def lower(values: Values, size: Tensor) -> Separable:
        sigma = values["sigma"].double()[:, None].expand(-1, 2)
        return Separable(Kernel.GAUSSIAN, taps + 1 - taps % 2, sigma, sigma)

    sigma = Parameter(Uniform(0.1, 2.0), Interval(0, 100), "pixels")
    return Op("gaussian_blur", "separable", lower, {"sigma": sigma}, p=0.5, identity={"sigma": 0.0})
