"""One image file: opened by an allow-listed format, turned upright, and brought to grey or RGB."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

Source = Path | bytes
# Named, because others run programs (EPS calls Ghostscript) or have no signature to be told by (TGA).
_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF")
_GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")
_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
_ORIENTATION = 0x0112
# EXIF 2.32, table 6: what makes an image stored with this orientation upright.
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
    """What a file says of itself before it is decoded: size (rows, columns) once upright, and whether it is grey."""

    size: tuple[int, int]
    grey: bool


def to_plain(image: Image.Image, channels: int) -> tuple[Image.Image, tuple[str, ...]]:
    """An open image as mode L (channels 1) or RGB (3), and the kinds of conversion it took (keys of `_SAID`).

    16-bit values are cut to their high byte, as Pillow does for 16-bit colour; transparency is composited on white.
    Raises ValueError for pixels whose range is unknown (floating point, 32-bit integers).
    """
    kinds = []
    if getattr(image, "is_animated", False) and image.format in ("GIF", "PNG", "WEBP", "TIFF", "AVIF"):
        kinds.append("frames")
        image.seek(0)
    if ";16" in _raw_mode(image):
        kinds.append("16-bit")
    orientation = _orientation(image)
    image.load()
    if orientation in _UPRIGHT:
        kinds.append("rotated")
        image = image.transpose(_UPRIGHT[orientation])
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _eight_bits(image)
        kinds += [] if "16-bit" in kinds else ["16-bit"]
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
    return (image if image.mode == plain else image.convert(plain)), tuple(kinds)


def _on_white(image: Image.Image) -> Image.Image:
    """Grey stays grey: L with transparency goes through LA, everything else through RGBA."""
    layered = image.convert("LA" if image.mode in ("1", "L", "LA", "La") else "RGBA")
    white = Image.new(layered.mode, layered.size, tuple([255] * len(layered.getbands())))
    return Image.alpha_composite(white, layered) if layered.mode == "RGBA" else _grey_on_white(layered)


def _grey_on_white(image: Image.Image) -> Image.Image:
    grey, alpha = image.split()
    return Image.composite(grey, Image.new("L", image.size, 255), alpha)


def _eight_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    if values.dtype.kind == "f" or (values.size and not (values.min() >= 0 and values.max() <= 65535)):
        raise ValueError(f"pixels of mode {image.mode} have no agreed range")
    info = {k: v for k, v in image.info.items() if k != "transparency"}
    plain = Image.fromarray((values.astype(np.int64) >> 8).astype(np.uint8))
    plain.info = info
    return plain


def open_image(source: Source) -> Image.Image:
    """A file (a path, or its bytes), opened by one of the formats that are read."""
    Image.init()
    formats = [name for name in _FORMATS if name in Image.OPEN]
    return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=formats)


def header(image: Image.Image) -> Header:
    width, height = image.size
    # A PNG without EXIF before its pixels would be decoded by getexif, in search of one behind them.
    if (image.format != "PNG" or "exif" in image.info) and _orientation(image) >= 5:
        width, height = height, width
    return Header((height, width), image.mode in _GREY)


def _orientation(image: Image.Image) -> int:
    """1 to 8; 1 where the file says nothing, or its EXIF is damaged, which is no reason to lose the pixels."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:
        return 1
    return value if value in _UPRIGHT else 1


def _raw_mode(image: Image.Image) -> str:
    """How the pixels lie in the file, by which a 16-bit colour PNG is told; Pillow's mode says RGB."""
    for tile in getattr(image, "tile", ()):
        arguments = tile[3] if isinstance(tile[3], tuple | list) else (tile[3],)
        if arguments and isinstance(arguments[0], str):
            return arguments[0]
    return ""
