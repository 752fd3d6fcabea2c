"""CutMix: pastes a box of another image and mixes the labels by area."""

from typing import Annotated

import torch
from torch import Tensor

from augury.augment.forms.region import Content
from augury.augment.ops._lower import filling
from augury.augment.ops.cutout import centred
from augury.core.laws import Beta
from augury.core.op import Op, Parameter, Parts, Values
from augury.core.options import Interval
from augury.core.registry import register


@register("op", "cutmix", source="Yun et al. 2019 (arXiv:1905.04899), section 3.1 and algorithm A1")
def cutmix(*, alpha: Annotated[float, Interval(1e-3)] = 1.0, batch_wide: bool = False) -> Op:
    """Pastes a box from the same position of another image; labels are weighted by the exact remaining area. By itself, p = 0.5.

    `weight` from Beta(alpha, alpha) determines the sides, H and W times sqrt(1 - weight), truncated to whole pixels; the centre
    is uniform and the box is clipped. Every image draws its own weight, box and partner; with `batch_wide`, the whole batch
    shares one weight and box, as in the published code. p = 0.5 is the paper's CIFAR setting; for ImageNet it is 1.
    """
    weight = Parameter(Beta(alpha, alpha), Interval(0, 1), "of the area")
    return Op(
        "cutmix",
        "region",
        _lower,
        {"weight": weight},
        domain="any",
        needs=frozenset({"partner"}),
        mixes_labels=True,
        batch_wide=batch_wide,
        p=0.5,
        shape=_shape,
        place=centred,
        candidates="centred",
        identity={"weight": 1.0},
    )


def _shape(values: Values, size: Tensor) -> Tensor:
    return (size * (1 - values["weight"].double()).clamp(min=0).sqrt()[:, None]).to(torch.int64)


def _lower(values: Values, size: Tensor) -> Parts:
    return filling(Content.PARTNER)
