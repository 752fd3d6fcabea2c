"""Images of more than 8 bits: maps one range of values, the same for a whole data set, to grey levels 0 to 255."""

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
    """low becomes grey level 0, high 255. Values outside are clipped, and the notes count the images that have any."""

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
    """Maps an array of other values to grey levels 0 to 255 by their declared range; InputError if none is declared."""
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
    """Whether an opened image's values have more than 8 bits, which Pillow's mode does not show for colour images."""
    return image.mode in _DEEP or image.mode.startswith("I;") or ";16" in _raw_mode(image)


def deep_values(image: Image.Image, again: Image.Image) -> np.ndarray:
    """The values of an image of more than 8 bits at full depth: int64 or float64 [H,W], or [H,W,3] for colour; loads the image.

    again: the same file, opened a second time. Pillow keeps only the high byte of 16-bit colour; reading with the byte order
    swapped gives the low byte. Raises ValueError for values that are not finite numbers, and whatever Pillow raises on damaged
    files.
    """
    raw = _raw_mode(image)
    image.load()
    values = np.asarray(image)
    if image.mode in _DEEP or image.mode.startswith("I;"):
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ValueError("holds values that are not finite numbers")
        return values.astype(np.float64 if values.dtype.kind == "f" else np.int64)
    if raw.startswith("LA"):  # Pillow gives no access to the low byte
        return values[..., 0].astype(np.int64) * 257
    again.tile = [  # type: ignore[attr-defined]
        tile._replace(args=_exchanged(tile.args))
        for tile in again.tile  # type: ignore[attr-defined]
    ]
    again.load()
    return (values.astype(np.int64) << 8 | np.asarray(again))[..., :3]


def measured(values: Sequence[tuple[float, float, bool]]) -> Range:
    """The range that `auto` chooses from (lowest, highest, whether whole numbers) of every training image of more than 8 bits.

    Whole numbers in [0, 65535]: the full range of as many bits, 8 to 16, as the highest value needs. Floats: 0 to 1 or 0 to 255 if
    all lie within. Anything else: from the lowest to the highest value.
    """
    low, high = min(v[0] for v in values), max(v[1] for v in values)
    if all(v[2] for v in values):
        if low >= 0 and high <= 65535:
            return Range(0, 2 ** max(8, int(high).bit_length()) - 1)
    elif low >= 0 and high <= 255:
        return Range(0, 1) if high <= 1 else Range(0, 255)
    return Range(low, high if high > low else low + 1)


def to_levels(values: np.ndarray, limits: Range) -> tuple[np.ndarray, bool]:
    """uint8 grey levels, and whether any value lay outside the range. Integers in 0 to 2^bits - 1 keep their high 8 bits."""
    clipped = bool(values.size and (values.min() < limits.low or values.max() > limits.high))
    values = np.clip(values, limits.low, limits.high)
    bits = int(limits.high + 1).bit_length() - 1
    if values.dtype.kind == "i" and limits.low == 0 and limits.high + 1 == 1 << bits and bits >= 8:
        return (values >> (bits - 8)).astype(np.uint8), clipped
    return np.rint((values - limits.low) * (255 / (limits.high - limits.low))).astype(np.uint8), clipped


def _raw_mode(image: Image.Image) -> str:
    """The layout of the pixels in the file, as Pillow names it."""
    for tile in getattr(image, "tile", ()):
        arguments = tile[3] if isinstance(tile[3], tuple | list) else (tile[3],)
        if arguments and isinstance(arguments[0], str):
            return arguments[0]
    return ""


def _exchanged(arguments: object) -> object:
    """A decoder's arguments with the byte order swapped."""
    if isinstance(arguments, str):
        return _OTHER.get(arguments, arguments)
    if isinstance(arguments, tuple):
        return tuple(_exchanged(each) for each in arguments)
    return arguments


_PAIRS = (("L", "B"), ("B", "L"), ("N", "B" if sys.byteorder == "little" else "L"))
_OTHER = {f"{mode};16{here}": f"{mode};16{there}" for mode in ("RGB", "RGBA", "RGBX") for here, there in _PAIRS}
