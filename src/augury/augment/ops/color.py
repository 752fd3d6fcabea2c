"""Color: blends the image with its grey version."""

from augury.augment.forms.blend import Degenerate
from augury.augment.ops._lower import recipe
from augury.core.laws import Uniform
from augury.core.op import Op, Parameter
from augury.core.options import Interval
from augury.core.registry import register


@register("op", "color", source="Cubuk et al. 2019 (AutoAugment, arXiv:1805.09501), table 6; Pillow ImageEnhance.Color")
def color() -> Op:
    """Blends with the grey version: factor 0 gives grey, 1 the original, above 1 extrapolates."""
    factor = Parameter(Uniform(0.1, 1.9), Interval(0, 100), "times")
    return Op("color", "blend", recipe(Degenerate.GREY, "factor"), {"factor": factor}, identity={"factor": 1.0}, rgb=True)
