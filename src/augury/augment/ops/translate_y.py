"""Translate along y."""

from typing import Annotated

import torch
from torch import Tensor

from augury.augment.ops._lower import affine, whole_pixels
from augury.core.laws import Uniform
from augury.core.op import Op, Parameter, Parts, Values
from augury.core.options import Interval
from augury.core.registry import register


@register(
    "op",
    "translate_y",
    source="Cubuk et al. 2019 (AutoAugment, arXiv:1805.09501), table 6; Pillow Image.transform AFFINE",
)
def translate_y(*, fill: Annotated[int, Interval(0, 255)] = 0, reach: Annotated[int, Interval(1)] | None = None) -> Op:
    """Moves the image by a fraction of its height: up if positive, as with Pillow's coefficient.

    The shift is truncated to whole pixels, as in the published policies; a fraction of k/H moves an image of height H by k.
    With `reach`, `fraction` is relative to that many pixels instead of the height, for policies published in pixels.
    """

    def lower(values: Values, size: Tensor) -> Parts:
        whole = size[:, 0] if reach is None else torch.full_like(size[:, 0], reach)
        shift = whole_pixels(values["fraction"], whole)
        return affine((1.0, 0.0, 0.0, 0.0, 1.0, shift), bilinear=False, fill=fill)

    fraction = Parameter(Uniform(-150 / 331, 150 / 331), Interval(-1, 1), "of the height")
    return Op("translate_y", "warp", lower, {"fraction": fraction}, identity={"fraction": 0.0})
