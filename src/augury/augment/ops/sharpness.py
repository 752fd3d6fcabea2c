"""Sharpness: the image blended with a smoothed version."""

from augury.augment.forms.blend import Degenerate
from augury.augment.ops._lower import recipe
from augury.core.laws import Uniform
from augury.core.op import Op, Parameter
from augury.core.options import Interval
from augury.core.registry import register


@register(
    "op",
    "sharpness",
    source="Cubuk et al. 2019 (AutoAugment, arXiv:1805.09501), table 6; Pillow ImageEnhance.Sharpness",
)
def sharpness() -> Op:
    """Blends with a smoothed version: factor 0 gives that version, 1 the original, above 1 sharpens."""
    factor = Parameter(Uniform(0.1, 1.9), Interval(0, 100), "times")
    return Op("sharpness", "blend", recipe(Degenerate.SMOOTH, "factor"), {"factor": factor}, identity={"factor": 1.0})
