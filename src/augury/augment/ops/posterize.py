"""Posterize: fewer bits per channel."""

from augury.augment.forms.table import TableKind
from augury.augment.ops._lower import recipe
from augury.core.laws import Choice
from augury.core.op import Op, Parameter
from augury.core.options import Interval
from augury.core.registry import register


@register("op", "posterize", source="Cubuk et al. 2019 (AutoAugment, arXiv:1805.09501), table 6; Pillow ImageOps.posterize")
def posterize() -> Op:
    """Keeps the top `bits` bits of every pixel: 8 changes nothing, 0 gives black (Pillow 13 raises an error)."""
    bits = Parameter(Choice((4, 5, 6, 7, 8)), Interval(0, 8), "bits")
    return Op("posterize", "table", recipe(TableKind.POSTERIZE, "bits"), {"bits": bits}, identity={"bits": 8.0})
