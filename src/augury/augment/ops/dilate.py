"""Dilate: every pixel becomes the brightest of its neighbourhood."""

from augury.augment.ops._neighbourhood import MOST_PIXELS, Footprint, extreme
from augury.core.laws import Choice
from augury.core.op import Op, Parameter
from augury.core.options import Interval
from augury.core.registry import register


@register("op", "dilate", source="Ratner et al. 2017 (TANDA, arXiv:1709.01643), section 5; scipy.ndimage grey morphology")
def dilate(*, footprint: Footprint = "square") -> Op:
    """Replaces each pixel by the brightest in a square or cross of side `width`: bright strokes get thicker."""
    width = Parameter(Choice((2.0, 3.0)), Interval(1, MOST_PIXELS), "pixels")
    lowered = extreme(footprint, brightest=True, longer="after")
    return Op("dilate", "map", lowered, {"width": width}, identity={"width": 1.0}, reads="in place")
