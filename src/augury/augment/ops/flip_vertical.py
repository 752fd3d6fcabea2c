"""Vertical flip: top and bottom exchanged."""

from torch import Tensor

from augury.augment.forms.warp import Warp
from augury.augment.ops._lower import affine
from augury.core.op import Op, Values
from augury.core.registry import register


@register("op", "flip_vertical", source="Pillow ImageOps.flip")
def flip_vertical() -> Op:
    """Mirrors the image top to bottom; alone, with probability one half."""
    return Op("flip_vertical", "warp", _lower, p=0.5, intensive=False)


def _lower(values: Values, size: Tensor) -> Warp:
    height = size[:, 0]
    return affine([1.0, 0.0, 0.0, 0.0, -1.0, height], height, bilinear=False, fill=0)
