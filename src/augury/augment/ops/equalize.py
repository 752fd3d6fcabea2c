"""Equalize: flattens each channel's histogram."""

from augury.augment.forms.table import TableKind
from augury.augment.ops._lower import recipe
from augury.core.op import Op
from augury.core.registry import register


@register("op", "equalize", source="Cubuk et al. 2019 (AutoAugment, arXiv:1805.09501), table 6; Pillow ImageOps.equalize")
def equalize() -> Op:
    """Spreads the levels of every channel so that all are used about equally often."""
    return Op("equalize", "table", recipe(TableKind.EQUALIZE))
