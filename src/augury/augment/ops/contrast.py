"""Contrast: the image blended with its mean grey."""

from typing import Literal

from augury.augment.forms.table import TableKind
from augury.augment.ops._lower import recipe
from augury.core.laws import Uniform
from augury.core.op import Op, Parameter
from augury.core.options import Interval
from augury.core.registry import register


@register("op", "contrast", source="Cubuk et al. 2019 (AutoAugment, arXiv:1805.09501), table 6; Pillow ImageEnhance.Contrast")
def contrast(*, mean: Literal["grey", "pixel_count"] = "grey") -> Op:
    """Blends with the mean grey: factor 0 gives a uniform grey, 1 the original, above 1 extrapolates.

    `mean=pixel_count` reproduces a bug of AutoAugment's released TPU code, which blends with the number of pixels
    divided by 256 (196 at 224 x 224, at most 255).
    """
    kind = TableKind.CONTRAST if mean == "grey" else TableKind.CONTRAST_PIXEL_COUNT
    factor = Parameter(Uniform(0.1, 1.9), Interval(0, 100), "times")
    of_grey = kind is TableKind.CONTRAST
    return Op("contrast", "table", recipe(kind, "factor"), {"factor": factor}, identity={"factor": 1.0}, rgb=of_grey)
