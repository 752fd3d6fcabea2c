"""Auto contrast: stretches each channel to the full range."""

from augury.augment.forms.table import TableKind
from augury.augment.ops._lower import recipe
from augury.core.op import Op
from augury.core.registry import register


@register(
    "op",
    "auto_contrast",
    source="Cubuk et al. 2019 (AutoAugment, arXiv:1805.09501), table 6; Pillow ImageOps.autocontrast",
)
def auto_contrast() -> Op:
    """Stretches every channel so that its darkest level becomes 0 and its lightest 255."""
    return Op("auto_contrast", "table", recipe(TableKind.AUTO_CONTRAST))
