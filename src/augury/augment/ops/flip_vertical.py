"""Vertical flip: mirrors the image top to bottom."""

from torch import Tensor

from augury.augment.ops._lower import affine
from augury.core.op import Op, Parts, Values
from augury.core.registry import register


@register("op", "flip_vertical", source="Pillow ImageOps.flip")
def flip_vertical() -> Op:
    """Mirrors the image top to bottom; by itself, with probability 0.5."""
    return Op("flip_vertical", "warp", _lower, p=0.5, intensive=False)


def _lower(values: Values, size: Tensor) -> Parts:
    return affine((1.0, 0.0, 0.0, 0.0, -1.0, size[:, 0]), bilinear=False, fill=0)
