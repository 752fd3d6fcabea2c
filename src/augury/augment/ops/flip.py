"""Flip: left and right exchanged."""

from torch import Tensor

from augury.augment.forms.warp import Warp
from augury.augment.ops._lower import affine
from augury.core.op import Op, Values
from augury.core.registry import register


@register("op", "flip", source="Pillow ImageOps.mirror")
def flip() -> Op:
    """Mirrors the image left to right; alone, with probability one half."""
    return Op("flip", "warp", _lower, p=0.5, intensive=False)


def _lower(values: Values, size: Tensor) -> Warp:
    width = size[:, 1]
    return affine([-1.0, 0.0, width, 0.0, 1.0, 0.0], width, bilinear=False, fill=0)
