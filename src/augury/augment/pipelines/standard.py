"""Standard: crop and flip."""

from augury.core.options import Chain, Spec
from augury.core.registry import register


@register("pipeline", "standard", source="He et al. 2016 (arXiv:1512.03385), section 4.2")
def standard() -> Chain:
    """The usual augmentation of 32x32 images: pad by an eighth of the side, crop, flip with probability one half."""
    return Chain((Spec("crop"), Spec("flip")))
