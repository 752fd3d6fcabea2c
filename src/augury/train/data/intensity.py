"""Images of more than 8 bits: one range of values for a whole data set becomes grey levels 0 to 255."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from augury.core.errors import InputError

AUTO = "auto"
_DEEP = ("I", "F")


@dataclass(frozen=True)
class Range:
    """low becomes grey level 0, high 255. Values outside are clipped, which the images' notes count."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:g},{self.high:g}"


def parse_range(text: str) -> Range | None:
    """`LOW,HIGH`, or None for `auto`. Raises InputError for anything else."""
    if text == AUTO:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low, high = math.nan, math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"--intensity-range: {text!r} must be auto, or two numbers LOW,HIGH with LOW below HIGH, such as 0,4095")
    return Range(low, high)


def levels_of(path: Path, x: np.ndarray, wanted: Range | None) -> np.ndarray:
    """Grey levels 0 to 255 of an array of other values, whose range is declared; InputError where it is not."""
    if x.dtype.kind not in "fiu":
        raise InputError(f"{path}: x is {x.dtype}; store numbers, grey levels 0 to 255 as uint8")
    if wanted is None:
        raise InputError(
            f"{path}: x is {x.dtype}; store grey levels 0 to 255 as uint8, or declare which values become 0 and 255 by "
            "--intensity-range LOW,HIGH, such as 0,1"
        )
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise InputError(f"{path}: x holds values that are not finite numbers; remove those images")
    scaled = (x.astype(np.float32) - wanted.low) * (255 / (wanted.high - wanted.low))
    return np.rint(scaled).clip(0, 255).astype(np.uint8)


def is_deep(image: Image.Image) -> bool:
    """Whether an opened image's values have more than 8 bits, which for colour Pillow's mode does not say."""
    return image.mode in _DEEP or image.mode.startswith("I;") or ";16" in _raw_mode(image)


def deep_values(image: Image.Image, again: Image.Image) -> np.ndarray:
    """The values of a deep image, int64 or float64 [H,W], or [H,W,3] for colour, with all their bits; loads the image.

    again: the same file, opened a second time. Pillow keeps the high byte of 16-bit colour; read with the order of the two
    bytes exchanged, the file gives the low one. Raises ValueError for values that are not finite numbers, and whatever Pillow
    raises on damaged files.
    """
    raw = _raw_mode(image)
    image.load()
    values = np.asarray(image)
    if image.mode in _DEEP or image.mode.startswith("I;"):
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ValueError("holds values that are not finite numbers")
        return values.astype(np.float64 if values.dtype.kind == "f" else np.int64)
    if raw.startswith("LA"):  # there is no way to its low byte
        return values[..., 0].astype(np.int64) * 257
    again.tile = [  # type: ignore[attr-defined]
        tile._replace(args=_exchanged(tile.args))
        for tile in again.tile  # type: ignore[attr-defined]
    ]
    again.load()
    return (values.astype(np.int64) << 8 | np.asarray(again))[..., :3]


def measured(values: Sequence[tuple[float, float, bool]]) -> Range:
    """The range that `auto` takes, from (lowest, highest, whether they are whole numbers) of every deep training image.

    Whole numbers from 0 on: the full range of so many bits as the highest value needs, from 8 to 16. Numbers with a fraction:
    0 to 1 or 0 to 255 where all lie within. Anything else: from the lowest to the highest value.
    """
    low, high = min(v[0] for v in values), max(v[1] for v in values)
    if all(v[2] for v in values):
        if low >= 0 and high <= 65535:
            return Range(0, 2 ** max(8, int(high).bit_length()) - 1)
    elif low >= 0 and high <= 255:
        return Range(0, 1) if high <= 1 else Range(0, 255)
    return Range(low, high if high > low else low + 1)


def to_levels(values: np.ndarray, limits: Range) -> tuple[np.ndarray, bool]:
    """uint8 grey levels, and whether any value lay outside the range. A range of whole bits from 0 keeps their high 8 bits."""
    clipped = bool(values.size and (values.min() < limits.low or values.max() > limits.high))
    values = np.clip(values, limits.low, limits.high)
    bits = int(limits.high + 1).bit_length() - 1
    if values.dtype.kind == "i" and limits.low == 0 and limits.high + 1 == 1 << bits and bits >= 8:
        return (values >> (bits - 8)).astype(np.uint8), clipped
    return np.rint((values - limits.low) * (255 / (limits.high - limits.low))).astype(np.uint8), clipped


def _raw_mode(image: Image.Image) -> str:
    """How the pixels lie in the file."""
    for tile in getattr(image, "tile", ()):
        arguments = tile[3] if isinstance(tile[3], tuple | list) else (tile[3],)
        if arguments and isinstance(arguments[0], str):
            return arguments[0]
    return ""


def _exchanged(arguments: object) -> object:
    """A decoder's arguments with the other order of bytes."""
    if isinstance(arguments, str):
        return _OTHER.get(arguments, arguments)
    if isinstance(arguments, tuple):
        return tuple(_exchanged(each) for each in arguments)
    return arguments


_PAIRS = (("L", "B"), ("B", "L"), ("N", "B" if sys.byteorder == "little" else "L"))
_OTHER = {f"{mode};16{here}": f"{mode};16{there}" for mode in ("RGB", "RGBA", "RGBX") for here, there in _PAIRS}
