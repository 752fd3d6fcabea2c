"""Erode: every pixel becomes the darkest of its neighbourhood."""

from augury.augment.ops._neighbourhood import MOST_PIXELS, Footprint, extreme
from augury.core.laws import Choice
from augury.core.op import Op, Parameter
from augury.core.options import Interval
from augury.core.registry import register


@register("op", "erode", source="Ratner et al. 2017 (TANDA, arXiv:1709.01643), section 5; scipy.ndimage grey morphology")
def erode(*, footprint: Footprint = "square") -> Op:
    """Replaces each pixel by the darkest in a square or cross of side `width`: bright strokes get thinner."""
    width = Parameter(Choice((2.0, 3.0)), Interval(1, MOST_PIXELS), "pixels")
    lowered = extreme(footprint, brightest=False, longer="before")
    return Op("erode", "map", lowered, {"width": width}, identity={"width": 1.0}, reads="in place")
