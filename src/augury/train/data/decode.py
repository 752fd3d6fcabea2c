"""Image files to uint8 arrays: what was converted is counted, what cannot be read is skipped, counted and named."""

import io
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from augury.core.errors import InputError
from augury.train.data.pool import each
from augury.train.data.resize import fit, planes
from augury.train.data.words import count, few

Source = Path | bytes
# Named, because others run programs (EPS calls Ghostscript) or have no signature to be told by (TGA).
_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF")
_GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")
_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
_ORIENTATION = 0x0112
STREAM_BEYOND = 8 << 30
_SAID = {
    "grey": "grey image|s made colour",
    "palette": "palette image|s",
    "cmyk": "CMYK image|s",
    "other": "image|s of another colour space",
    "16-bit": "16-bit image|s cut to the high 8 bits",
    "alpha": "image|s with transparency (composited on white)",
    "rotated": "image|s turned upright by the EXIF tag",
    "frames": "animated or multi-page file|s (first frame taken)",
}
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
class Decoded:
    """images uint8 [N,C,H,W]; rows int64 [N]: the numbers of the sources they came from (unreadable ones are left out)."""

    images: Tensor
    rows: Tensor
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Header:
    """What a file says of itself before it is decoded: size (rows, columns) once upright, and whether it is grey."""

    size: tuple[int, int]
    grey: bool


def decode(
    sources: Sequence[Source],
    names: Sequence[str],
    where: str,
    *,
    image_size: int | None = None,
    leading: int | None = None,
    stream: str = "no",
) -> Decoded:
    """Decode files (paths, or the files' bytes) into one array; grey only if all are grey, otherwise RGB.

    names: what notes and refusals call the sources. image_size: side of the result; by default images of one size stay as
    they are, otherwise the side is the shorter one of the most common size among the first `leading` sources (all).
    stream: `yes` leaves the pixels in the files (`FileImages`), of which only the headers are read; `auto` does so where they
    would take more than 8 GiB. Raises InputError, starting with `where`, when more than half cannot be read.
    """
    headers: list[Header | None] = [None] * len(sources)
    kinds: list[tuple[str, ...]] = [()] * len(sources)
    failed: dict[int, str] = {}

    def look(row: int) -> None:
        try:
            with open_image(sources[row]) as image:
                headers[row] = _header(image)
        except Exception as error:  # decoders raise whatever they like on damaged files
            failed[row] = _reason(error)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata; damaged pixels are errors
        each(look, len(sources))
        known = [h for h in headers if h is not None]
        _refuse_mostly_unreadable(failed, names, where)
        size = _target([h.size for h in known], [h.size for h in headers[:leading] if h is not None], image_size)
        channels = 1 if all(h.grey for h in known) else 3
        if stream == "yes" or (stream == "auto" and len(sources) * channels * size[0] * size[1] > STREAM_BEYOND):
            return _left_in_files(sources, names, headers, failed, channels, size)
        try:
            images = torch.empty(len(sources), channels, *size, dtype=torch.uint8)
        except (RuntimeError, MemoryError):
            amount = len(sources) * channels * size[0] * size[1] / 2**30
            raise InputError(
                f"{where}: {len(sources):,} images of {size[0]}x{size[1]} need {amount:.1f} GiB of memory; "
                "give a smaller --image-size"
            ) from None
        target = images.numpy()

        def read(row: int) -> None:
            if row in failed:
                return
            try:
                with open_image(sources[row]) as image:
                    plain, kinds[row] = to_plain(image, channels)
                target[row] = planes(fit(plain, size))
            except Exception as error:
                failed[row] = _reason(error)

        each(read, len(sources))
    _refuse_mostly_unreadable(failed, names, where)
    rows = torch.tensor([row for row in range(len(sources)) if row not in failed], dtype=torch.int64)
    resized = sum(header is not None and header.size != size and row not in failed for row, header in enumerate(headers))
    if failed:
        images = images[rows]
    return Decoded(images, rows, _notes(kinds, resized, size, failed, names))


def _left_in_files(
    sources: Sequence[Source], names: Sequence[str], headers: list[Header | None], failed: dict[int, str], channels: int,
    size: tuple[int, int],
) -> Decoded:  # fmt: skip
    """The readable files as images that are decoded when they are asked for."""
    from augury.train.data.stream import FileImages

    rows = torch.tensor([row for row in range(len(sources)) if row not in failed], dtype=torch.int64)
    images: Any = FileImages([sources[row] for row in rows.tolist()], channels, size)
    resized = sum(header is not None and header.size != size for header in headers)
    notes = _notes([], resized, size, failed, names)
    return Decoded(images, rows, (*notes, f"streamed: {count(len(rows), 'image')} decoded while they are used"))


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


def _header(image: Image.Image) -> Header:
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


def _target(sizes: list[tuple[int, int]], leading: list[tuple[int, int]], image_size: int | None) -> tuple[int, int]:
    """The size of all results (rows, columns)."""
    if image_size is not None:
        return image_size, image_size
    if len(set(sizes)) == 1:
        return sizes[0]
    # Ties go to the larger size, so that the order of files does not decide.
    _, common = max((number, size) for size, number in Counter(leading or sizes).items())
    return min(common), min(common)


def _reason(error: Exception) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image"
    return str(getattr(error, "strerror", None) or error or type(error).__name__).splitlines()[0]


def _refuse_mostly_unreadable(failed: dict[int, str], names: Sequence[str], where: str) -> None:
    if 2 * len(failed) > len(names):
        first = min(failed)
        raise InputError(
            f"{where}: {len(failed):,} of {count(len(names), 'file')} cannot be read as images, the first {names[first]!r} "
            f"({failed[first]}); remove or replace them"
        )


def _notes(
    kinds: list[tuple[str, ...]], resized: int, size: tuple[int, int], failed: dict[int, str], names: Sequence[str]
) -> tuple[str, ...]:
    counts = Counter(kind for row, found in enumerate(kinds) if row not in failed for kind in found)
    notes = []
    if counts:
        found = [
            count(counts[kind], said.replace("|s", ""), said.replace("|s", "s")) for kind, said in _SAID.items() if counts[kind]
        ]
        notes.append("converted: " + ", ".join(found))
    if resized:
        notes.append(
            f"sizes: {count(resized, 'image')} brought to {size[0]}x{size[1]} (short side resized, centre cut out); --image-size N "
            "chooses another side"
        )
    if failed:
        shown = [f"{names[row]} ({failed[row]})" for row in sorted(failed)]
        notes.append(f"skipped: {count(len(failed), 'file')} that cannot be read as images: {few(shown)}")
    return tuple(notes)
