"""Mixup: a weighted sum of two images and of their labels."""

from typing import Annotated

from torch import Tensor

from augury.core.laws import Beta
from augury.core.op import Op, Parameter, Parts, Values
from augury.core.options import Interval
from augury.core.registry import register


@register("op", "mixup", source="Zhang et al. 2018 (arXiv:1710.09412), section 2")
def mixup(*, alpha: Annotated[float, Interval(1e-3)] = 1.0, batch_wide: bool = False) -> Op:
    """Averages the image and another, and their labels, with `weight` and 1 - weight; weight from Beta(alpha, alpha).

    Every image draws its own weight and partner; with `batch_wide`, the whole batch shares one weight, as in the published code.
    Gradual refinement reduces alpha to 0 (He et al. 2019, arXiv:1909.09148, section 4.1).
    """
    weight = Parameter(Beta(alpha, alpha), Interval(0, 1), "of the image")
    return Op(
        "mixup",
        "mix",
        _lower,
        {"weight": weight},
        domain="any",
        needs=frozenset({"partner"}),
        mixes_labels=True,
        batch_wide=batch_wide,
        identity={"weight": 1.0},
        faded=lambda intensity: {"weight": Beta(alpha * intensity, alpha * intensity)},
    )


def _lower(values: Values, size: Tensor) -> Parts:
    return values["weight"], True
