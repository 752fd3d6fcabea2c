"""Identity: nothing."""

from augury.augment.forms.table import TableKind
from augury.augment.ops._lower import recipe
from augury.core.op import Op
from augury.core.registry import register


@register("op", "identity", source="Cubuk et al. 2020 (RandAugment, arXiv:1909.13719), section 3")
def identity() -> Op:
    """Leaves the image as it is."""
    return Op("identity", "table", recipe(TableKind.IDENTITY), identity={})
