"""Image files to uint8 arrays: what was converted is counted, what cannot be read is skipped, counted and named."""

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from augury.core.errors import InputError
from augury.train.data.image import Header, Source, header, open_image, to_plain
from augury.train.data.pool import each
from augury.train.data.resize import fit, planes
from augury.train.data.stream import FileImages
from augury.train.data.words import count, few

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


@dataclass(frozen=True)
class Decoded:
    """images uint8 [N,C,H,W]; rows int64 [N]: the numbers of the sources they came from (unreadable ones are left out)."""

    images: Tensor
    rows: Tensor
    notes: tuple[str, ...]


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
                headers[row] = header(image)
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
    rows = torch.tensor([row for row in range(len(sources)) if row not in failed], dtype=torch.int64)
    images: Any = FileImages([sources[row] for row in rows.tolist()], channels, size)
    resized = sum(header is not None and header.size != size for header in headers)
    notes = _notes([], resized, size, failed, names)
    return Decoded(images, rows, (*notes, f"streamed: {count(len(rows), 'image')} decoded while they are used"))


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
