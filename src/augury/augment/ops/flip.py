"""Flip: mirrors the image left to right."""

from torch import Tensor

from augury.augment.ops._lower import affine
from augury.core.op import Op, Parts, Values
from augury.core.registry import register


@register("op", "flip", source="Pillow ImageOps.mirror")
def flip() -> Op:
    """Mirrors the image left to right; by itself, with probability 0.5."""
    return Op("flip", "warp", _lower, p=0.5, intensive=False)


def _lower(values: Values, size: Tensor) -> Parts:
    return affine((-1.0, 0.0, size[:, 1], 0.0, 1.0, 0.0), bilinear=False, fill=0)
