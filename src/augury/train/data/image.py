"""Opens one image file in an allow-listed format, turns it upright, and converts it to grey, RGB or bands."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from augury.core.files import open_regular, read_bytes
from augury.train.data.bands import bands_of, layers, read_bands
from augury.train.data.integrity import check_png
from augury.train.data.intensity import Range, deep_values, is_deep, to_levels
from augury.train.data.resize import Plain

Source = Path | bytes
# Allow-list: other formats run programs (EPS calls Ghostscript) or lack a signature (TGA).
_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF")
_GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")
_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
_ORIENTATION = 0x0112
_ROWS, _COLUMNS = 257, 256
# EXIF 2.32, table 6: the transposition that turns an image with this orientation upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Header:
    """The properties of a file before decoding: upright size (rows, columns), whether it is grey, whether its values have more
    than 8 bits. bands: their number if they are neither grey nor colour, else 0."""

    size: tuple[int, int]
    grey: bool
    deep: bool
    bands: int = 0


def read_header(source: Source) -> Header:
    """Reads a file's header without decoding it. Raises OSError, and whatever Pillow raises for a file that is not an image."""
    if isinstance(source, bytes):
        return _header_of(io.BytesIO(source))
    with open_regular(source) as file:
        return _header_of(file)


def read_plain(source: Source, channels: int, intensity: Range | None = None) -> tuple[Plain, tuple[str, ...]]:
    """A file as an image of mode L (channels 1) or RGB (3), or as one grey image per band (other channels), and the kinds of
    conversion applied (`augury.train.data.decode` names them).

    The first frame, upright by its orientation tag; transparency is composited on white; values of more than 8 bits are mapped by
    `intensity`. Raises OSError if the file cannot be read, ValueError for values of more than 8 bits without a range, and whatever
    Pillow raises on damaged files: a partly decoded image is never returned.
    """
    data = source if isinstance(source, bytes) else read_bytes(source)
    check_png(data)
    found = bands_of(io.BytesIO(data))
    if found is not None or channels not in (1, 3):
        return _from_bands(data, 0 if found is None else found[0], channels, intensity)
    with _opened(io.BytesIO(data)) as image:
        kinds = []
        if getattr(image, "is_animated", False) and image.format in ("GIF", "PNG", "WEBP", "TIFF", "AVIF"):
            kinds.append("frames")
            image.seek(0)
        # Pillow turns TIFFs upright while loading them, and removes the tag.
        turned = image.format == "TIFF" and _orientation(image) > 1
        if is_deep(image):
            plain, deep_kinds = _from_deep(image, data, intensity)
            kinds += deep_kinds
        else:
            image.load()
            plain = image
        # Read after the pixels: earlier, getexif would decode a PNG in search of EXIF and hide its errors.
        orientation = _orientation(image)
        if orientation in _UPRIGHT:
            info, plain = plain.info, plain.transpose(_UPRIGHT[orientation])
            plain.info = info
        if turned or orientation > 1:
            kinds.append("rotated")
    made, more = _to_plain(plain, channels)
    return made, (*kinds, *more)


def read_deep(source: Source) -> np.ndarray:
    """The values of a file of more than 8 bits, as `augury.train.data.intensity.deep_values` returns them."""
    data = source if isinstance(source, bytes) else read_bytes(source)
    check_png(data)
    if bands_of(io.BytesIO(data)) is not None:
        return read_bands(data)
    with _opened(io.BytesIO(data)) as image, _opened(io.BytesIO(data)) as again:
        return deep_values(image, again)


def _from_bands(data: bytes, bands: int, channels: int, intensity: Range | None) -> tuple[Plain, tuple[str, ...]]:
    """The bands of a file, whose number must equal `channels`."""
    if bands != channels:
        has, wanted = (f"{bands} bands" if bands else "no bands", {1: "grey images", 3: "colour images"})
        raise ValueError(f"has {has}, but the others are {wanted.get(channels, f'images of {channels} bands')}")
    values = read_bands(data)
    if values.dtype == np.uint8:
        return layers(values), ()
    if intensity is None:
        raise ValueError("has more than 8 bits, and no range of values is known; give --intensity-range LOW,HIGH")
    levels, clipped = to_levels(values, intensity)
    return layers(levels), ("deep", *(("clipped",) if clipped else ()))


def _header_of(file: BinaryIO) -> Header:
    found = bands_of(file)
    if found is not None:
        bands, size, deep = found
        return Header(size, False, deep, bands)
    with _opened(file) as image:
        return _header(image)


def _from_deep(image: Image.Image, data: bytes, intensity: Range | None) -> tuple[Image.Image, list[str]]:
    if intensity is None:
        raise ValueError("has more than 8 bits, and no range of values is known; give --intensity-range LOW,HIGH")
    with _opened(io.BytesIO(data)) as again:
        levels, clipped = to_levels(deep_values(image, again), intensity)
    plain = Image.fromarray(levels)
    if image.mode == "RGBA":
        alpha = image.getchannel("A")
        plain = Image.merge("RGBA", (*plain.split(), alpha)) if levels.ndim == 3 else Image.merge("LA", (plain, alpha))
    return plain, ["deep", *(["clipped"] if clipped else [])]


def _to_plain(image: Image.Image, channels: int) -> tuple[Image.Image, list[str]]:
    kinds = []
    if image.mode in ("P", "PA"):
        kinds.append("palette")
    elif image.mode == "CMYK":
        kinds.append("cmyk")
    elif image.mode not in (*_GREY, *_ALPHA, "RGB"):
        kinds.append("other")
    if channels == 3 and image.mode in _GREY:
        kinds.append("grey")
    if image.mode in _ALPHA or "transparency" in image.info:
        kinds.append("alpha")
        image = _on_white(image)
    plain = "L" if channels == 1 else "RGB"
    return (image if image.mode == plain else image.convert(plain)), kinds


def _on_white(image: Image.Image) -> Image.Image:
    """Composites on white. Grey stays grey: L with transparency goes through LA, everything else through RGBA."""
    layered = image.convert("LA" if image.mode in ("1", "L", "LA", "La") else "RGBA")
    white = Image.new(layered.mode, layered.size, tuple([255] * len(layered.getbands())))
    return Image.alpha_composite(white, layered) if layered.mode == "RGBA" else _grey_on_white(layered)


def _grey_on_white(image: Image.Image) -> Image.Image:
    grey, alpha = image.split()
    return Image.composite(grey, Image.new("L", image.size, 255), alpha)


def _opened(file: object) -> Image.Image:
    """Opens a file in one of the allowed formats."""
    Image.init()
    formats = [name for name in _FORMATS if name in Image.OPEN]
    return Image.open(file, formats=formats)  # type: ignore[arg-type]


def _header(image: Image.Image) -> Header:
    width, height = image.size
    if image.format == "TIFF":  # versions of Pillow differ in whether `size` is that of the upright image
        width, height = image.tag_v2.get(_COLUMNS, width), image.tag_v2.get(_ROWS, height)  # type: ignore[attr-defined]
    # getexif would decode a PNG without EXIF before its pixels, in search of EXIF after them.
    if (image.format != "PNG" or "exif" in image.info) and _orientation(image) >= 5:
        width, height = height, width
    return Header((height, width), image.mode in _GREY or _is_grey_with_alpha(image), is_deep(image))


def _is_grey_with_alpha(image: Image.Image) -> bool:
    """Whether an image is 16-bit grey with transparency, which Pillow opens as RGBA."""
    return any(tile[3] == "LA;16B" for tile in getattr(image, "tile", ()))


def _orientation(image: Image.Image) -> int:
    """1 to 8; 1 if the file does not say, or if its EXIF is damaged, since the pixels may still be intact."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:
        return 1
    return value if value in _UPRIGHT else 1
