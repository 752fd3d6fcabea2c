"""Brightness: the image blended with a black image."""

from augury.augment.forms.table import TableKind
from augury.augment.ops._lower import recipe
from augury.core.laws import Uniform
from augury.core.op import Op, Parameter
from augury.core.options import Interval
from augury.core.registry import register


@register(
    "op",
    "brightness",
    source="Cubuk et al. 2019 (AutoAugment, arXiv:1805.09501), table 6; Pillow ImageEnhance.Brightness",
)
def brightness() -> Op:
    """Blends with a black image: factor 0 gives black, 1 the original, above 1 extrapolates."""
    factor = Parameter(Uniform(0.1, 1.9), Interval(0, 100), "times")
    return Op("brightness", "table", recipe(TableKind.BRIGHTNESS, "factor"), {"factor": factor}, identity={"factor": 1.0})
