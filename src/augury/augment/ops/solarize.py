"""Solarize: inverts bright pixels."""

from augury.augment.forms.table import TableKind
from augury.augment.ops._lower import recipe
from augury.core.laws import Uniform
from augury.core.op import Op, Parameter
from augury.core.options import Interval
from augury.core.registry import register


@register("op", "solarize", source="Cubuk et al. 2019 (AutoAugment, arXiv:1805.09501), table 6; Pillow ImageOps.solarize")
def solarize() -> Op:
    """Inverts all pixels at or above a threshold: 0 inverts all, 256 none."""
    threshold = Parameter(Uniform(0, 256), Interval(0, 256), "grey levels")
    return Op(
        "solarize",
        "table",
        recipe(TableKind.SOLARIZE, "threshold"),
        {"threshold": threshold},
        identity={"threshold": 256.0},
    )
