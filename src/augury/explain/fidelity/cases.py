"""The cases to compare: Pillow's operations, each at several strengths."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Allowed = Literal["exact", "within 1"]


@dataclass(frozen=True)
class Case:
    """One operation at one strength. `values`: native parameters; `options`: fixed ones, both as for `augury.apply`.

    moves: whether it moves pixels, so that sub-pixel differences are a separate category.
    allowed: the largest permitted difference of Augury from Pillow.
    """

    operation: str
    values: tuple[tuple[str, float], ...] = ()
    options: tuple[tuple[str, Any], ...] = ()
    moves: bool = False
    allowed: Allowed = "exact"

    @property
    def value(self) -> float:
        """The first parameter; for operations that have one."""
        return self.values[0][1]

    @property
    def interpolation(self) -> str:
        return str(dict(self.options).get("interpolation", "nearest"))

    @property
    def title(self) -> str:
        """The operation, with its interpolation if that is not nearest."""
        return self.operation if self.interpolation == "nearest" else f"{self.operation} {self.interpolation}"

    @property
    def strength(self) -> str:
        return ", ".join(f"{name} {value:g}" for name, value in self.values)


def _case(operation: str, values: tuple[tuple[str, float], ...] = (), **kept: Any) -> Case:
    """Rounds values to float32, the precision in which they are drawn, so that every library gets exactly the same number."""
    return Case(operation, tuple((name, float(np.float32(value))) for name, value in values), **kept)


WARPS: tuple[tuple[str, str, tuple[float, ...]], ...] = (
    ("shear_x", "slope", (-0.3, 0.1, 0.3)),
    ("shear_y", "slope", (-0.3, 0.1, 0.3)),
    ("rotate", "degrees", (-30, 9, 45, 90, 180)),
    ("zoom", "factor", (0.75, 1.3, 2)),
)
SIMPLE: tuple[tuple[str, str, tuple[float, ...]], ...] = (
    ("posterize", "bits", (1, 2, 4, 7, 8)),
    ("solarize", "threshold", (0, 85, 128, 200.5, 256)),
    ("solarize_add", "amount", (30, 110)),
    ("brightness", "factor", (0, 0.1, 0.55, 1.45, 1.9)),
    ("contrast", "factor", (0, 0.1, 0.55, 1.45, 1.9)),
    ("color", "factor", (0, 0.1, 0.55, 1.45, 1.9)),
    ("sharpness", "factor", (0, 0.1, 0.55, 1.45, 1.9)),
    ("hue", "shift", (-0.3, 0.1, 0.5)),
    ("erode", "width", (3,)),
    ("dilate", "width", (3,)),
)
WINDOWS = ((0.2, 1.0, 0.0, 0.0), (0.5, 1.3, 0.7, 0.2), (1.0, 1.0, 0.5, 0.5))


def cases() -> list[Case]:
    """All cases, grouped by operation."""
    found = [
        _case(name, ((parameter, value),), options=(("interpolation", how),), moves=True)
        for name, parameter, values in WARPS
        for how in ("nearest", "bilinear")
        for value in values
    ]
    found += [_case(f"translate_{a}", (("fraction", v),), moves=True) for a in "xy" for v in (-0.45, 0.1, 0.3)]
    found += [_case(name, moves=name.startswith("flip")) for name in ("flip", "flip_vertical", "identity")]
    found += [_case("crop", (("top", y), ("left", x)), options=(("padding", 4),), moves=True) for y, x in ((0, 0), (0.9, 0.3))]
    found += [
        _case(
            "resized_crop",
            tuple(zip(("area", "aspect", "top", "left"), w, strict=True)),
            options=(("interpolation", how),),
            moves=True,
            allowed="within 1",
        )
        for how in ("bilinear", "bicubic")
        for w in WINDOWS
    ]
    found += [_case(name) for name in ("auto_contrast", "equalize", "invert", "grayscale")]
    return found + [_case(name, ((parameter, value),)) for name, parameter, values in SIMPLE for value in values]
