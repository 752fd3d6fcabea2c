"""TIFF files with bands other than grey or RGB: multispectral images and stacks, up to 16 channels."""

import io
import struct
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import BinaryIO

import numpy as np
from PIL import Image, TiffImagePlugin

from augury.augment.inputs import MOST_CHANNELS
from augury.core.errors import InputError

_TIFF = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_COLUMNS, _ROWS, _BITS, _PHOTOMETRIC, _SAMPLES, _EXTRA = 256, 257, 258, 262, 277, 338
_UNSPECIFIED = 0  # the kind of an extra sample that is not transparency
_COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3}  # samples per pixel by photometric tag: grey, RGB, palette, CMYK, ...


def bands_of(file: BinaryIO) -> tuple[int, tuple[int, int], bool] | None:
    """(bands, (rows, columns), whether values have more than 8 bits) of a TIFF with bands that Pillow does not read; None for
    all other files. The position in the file is restored."""
    start = file.tell()
    try:
        head = file.read(8)
        if not head.startswith(_TIFF):
            return None
        head += file.read(8) if 43 in (head[2], head[3]) else b""  # BigTIFF
        tags = TiffImagePlugin.ImageFileDirectory_v2(head)
        file.seek(start + tags.next)
        tags.load(file)
        samples, extra = int(tags.get(_SAMPLES, 1)), tags.get(_EXTRA, ())
        extra = extra if isinstance(extra, tuple) else (extra,)
        beyond = samples - _COLOURS.get(int(tags.get(_PHOTOMETRIC, 1)), 1)
        if beyond <= 0 or (len(extra) == beyond == 1 and extra[0] != _UNSPECIFIED):
            return None
        bits = tags.get(_BITS, (8,))
        return samples, (int(tags[_ROWS]), int(tags[_COLUMNS])), max(bits if isinstance(bits, tuple) else (bits,)) > 8
    except (
        SyntaxError,
        KeyError,
        ValueError,
        TypeError,
        OSError,
        OverflowError,
        struct.error,
    ):  # Pillow reports what is wrong with the file
        return None
    finally:
        file.seek(start)


def read_bands(data: bytes) -> np.ndarray:
    """The values of such a file, [H,W,C]. Raises ValueError for more than 16 bands, InputError if tifffile is not installed, and
    whatever tifffile raises on damaged files."""
    try:
        import tifffile
    except ImportError:
        raise InputError("has several bands; reading them needs the package tifffile; pip install 'augury[tiff]'") from None
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        if page.samplesperpixel > MOST_CHANNELS:
            raise ValueError(f"has {page.samplesperpixel} bands; up to {MOST_CHANNELS} are read")
        values = np.asarray(page.asarray())
        values = values.transpose(1, 2, 0) if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE else values
    if values.dtype.kind not in "iuf" or values.ndim != 3:
        raise ValueError(f"holds values of type {values.dtype}, {values.ndim} dimensions; store whole numbers or floats [H,W,C]")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError("holds values that are not finite numbers")
    return values if values.dtype == np.uint8 else values.astype(np.float64 if values.dtype.kind == "f" else np.int64)


def common_channels(where: str, names: Sequence[str], found: Mapping[int, tuple[int, bool]]) -> int:
    """1 if all files are grey, the number of bands if they have bands, else 3. found: (bands, whether grey) by file number.

    InputError if the numbers of bands differ, if there are too many bands, or if tifffile is needed and not installed.
    """

    def said(row: int) -> str:
        return f"{names[row]!r} has {found[row][0] or (1 if found[row][1] else 3)} channels"

    first = min(found)
    bands = found[first][0]
    for row in sorted(found):
        if found[row][0] != bands:
            raise InputError(f"{where}: {said(first)} and {said(row)}; give images with the same number of channels")
    if bands > MOST_CHANNELS:
        raise InputError(f"{where}: {said(first)}; up to {MOST_CHANNELS} are read")
    if bands and find_spec("tifffile") is None:
        raise InputError(f"{where}: {said(first)}, which needs the package tifffile; pip install 'augury[tiff]'")
    return bands or (1 if all(grey for _, grey in found.values()) else 3)


def layers(levels: np.ndarray) -> tuple[Image.Image, ...]:
    """uint8 [H,W,C] as one grey image per band."""
    return tuple(Image.fromarray(np.ascontiguousarray(levels[..., band])) for band in range(levels.shape[2]))
