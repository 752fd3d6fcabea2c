"""Invert: the negative."""

from augury.augment.forms.table import TableKind
from augury.augment.ops._lower import recipe
from augury.core.op import Op
from augury.core.registry import register


@register("op", "invert", source="Cubuk et al. 2019 (AutoAugment, arXiv:1805.09501), table 6; Pillow ImageOps.invert")
def invert() -> Op:
    """255 minus every pixel."""
    return Op("invert", "table", recipe(TableKind.INVERT))
