"""Decodes image files to uint8 arrays; conversions are counted, and unreadable files are skipped, counted and named."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from augury.core.errors import InputError
from augury.core.files import read_bytes
from augury.train.data.bands import common_channels
from augury.train.data.decoded_cache import DecodedCache, Entry, key_of
from augury.train.data.default_side import SIDES, default_size
from augury.train.data.fingerprint import digest_of
from augury.train.data.image import Header, Source, read_deep, read_header, read_plain
from augury.train.data.intensity import Range, measured, parse_range
from augury.train.data.pool import each
from augury.train.data.preparation import AS_IS, Preparation, ReadOptions
from augury.train.data.resize import Size, in_words, pixels_at, size_of_plain
from augury.train.data.stream import FileImages
from augury.train.data.words import count, few

STREAM_BEYOND = 8 << 30
_SAID = {
    "grey": "grey image|s to RGB",
    "palette": "palette image|s",
    "cmyk": "CMYK image|s",
    "other": "image|s of another colour space",
    "deep": "image|s of more than 8 bits",
    "clipped": "image|s with values outside that range (clipped)",
    "alpha": "image|s with transparency (composited on white)",
    "rotated": "image|s turned upright by the EXIF tag",
    "frames": "animated or multi-page file|s (first frame used)",
}


@dataclass(frozen=True)
class Decoded:
    """images uint8 [N,C,H,W]; rows int64 [N]: the indices of their sources (unreadable ones are left out).

    marks: size in bytes and hash of every source, unreadable ones included. preparation: how the images were converted.
    """

    images: Tensor
    rows: Tensor
    notes: tuple[str, ...]
    marks: tuple[tuple[int, str], ...]
    preparation: Preparation


@dataclass
class _Files:
    """The sources and what is found while reading them. failed: the reason, by row."""

    sources: Sequence[Source]
    names: Sequence[str]
    where: str
    failed: dict[int, str] = field(default_factory=dict)
    kinds: dict[int, tuple[str, ...]] = field(default_factory=dict)
    resized: dict[int, Size] = field(default_factory=dict)

    def attempt(self, work: Callable[[int], None], rows: Sequence[int] | None = None) -> None:
        """Runs `work` in threads on `rows` (default all) that have not failed yet; rows that raise are recorded as unreadable."""
        rows = range(len(self.sources)) if rows is None else rows

        def one(place: int) -> None:
            row = rows[place]
            if row in self.failed:
                return
            try:
                work(row)
            except Exception as error:  # decoders raise any kind of exception on damaged files
                self.failed[row] = _reason(error)

        with _quietly():
            each(one, len(rows))

    def refuse_mostly_unreadable(self) -> None:
        if 2 * len(self.failed) > len(self.names):
            first = min(self.failed)
            raise InputError(
                f"{self.where}: {len(self.failed):,} of {count(len(self.names), 'file')} cannot be read as images, the first "
                f"{self.names[first]!r} ({self.failed[first]}); remove or replace them"
            )


def decode(
    sources: Sequence[Source], names: Sequence[str], where: str, options: ReadOptions = AS_IS, *, leading: int | None = None
) -> Decoded:  # fmt: skip
    """Decodes files (paths or bytes) into one array: grey if all are grey, with bands if all have the same number, else RGB.

    names: of the sources, for notes and errors. If the options give no size, `default_size` chooses it from the sources, of which
    the first `leading` (default all) are the training part. Streamed images stay in their files (`FileImages`), but every file is
    still decoded once, so that unreadable files are known, and mean and deviation exact, before training begins. Images in the
    options' cache are not decoded again. Raises InputError, starting with `where`, if more than half of the files cannot be read.
    """
    leading = len(sources) if leading is None else leading
    cache = options.cache
    if cache is None:
        return _decoded(sources, names, where, options, leading)
    key = key_of(sources, names, asked(options, leading))
    found, note = cache.find(key)
    if found is not None:
        return _from_entry(found, sources)
    made = _decoded(sources, names, where, options, leading)
    notes = [note, *_kept(cache, key, made, sources, names, leading)]
    return replace(made, notes=(*made.notes, *(each for each in notes if each is not None)))


def asked(options: ReadOptions, leading: int) -> dict[str, Any]:
    """The options that determine how files are decoded, as plain values."""
    streamed = options.stream == "yes"
    if options.like is not None:
        return {"like": options.like.plain(), "streamed": streamed}
    size = None if options.size is None else list(options.size)
    return {"size": size, "intensity": options.intensity_range, "how": options.how, "leading": leading, "streamed": streamed}


def _kept(
    cache: DecodedCache, key: str, made: Decoded, sources: Sequence[Source], names: Sequence[str], leading: int
) -> Iterator[str | None]:
    """Stores what was decoded, also under the key that a network trained on it will ask for; yields notes on failures, or None."""
    files = made.images if isinstance(made.images, FileImages) else None
    about = {
        "rows": made.rows.tolist(), "notes": list(made.notes), "marks": [list(mark) for mark in made.marks],
        "preparation": made.preparation.plain(), "sums": None if files is None or files.sums is None else files.sums.tolist(),
    }  # fmt: skip
    yield cache.store(key, None if files is not None else made.images, about)
    again = key_of(sources, names, asked(ReadOptions(like=made.preparation, stream="no" if files is None else "yes"), leading))
    if again != key:
        yield cache.link(again, key)


def _from_entry(entry: Entry, sources: Sequence[Source]) -> Decoded:
    about = entry.about
    rows, preparation = torch.tensor(about["rows"], dtype=torch.int64), Preparation.of(about["preparation"])
    images: Any = entry.images
    if images is None:
        images = FileImages(
            [sources[row] for row in about["rows"]], preparation.channels, preparation.size, preparation.intensity,
            torch.tensor(about["sums"], dtype=torch.int64), preparation.resize,
        )  # fmt: skip
    marks = tuple((int(size), str(digest)) for size, digest in about["marks"])
    return Decoded(images, rows, tuple(about["notes"]), marks, preparation)


def _decoded(sources: Sequence[Source], names: Sequence[str], where: str, options: ReadOptions, leading: int) -> Decoded:
    files = _Files(sources, names, where)
    headers: dict[int, Header] = {}

    def look(row: int) -> None:
        headers[row] = read_header(sources[row])

    files.attempt(look)
    files.refuse_mostly_unreadable()
    preparation, intensity_notes = _prepared(files, headers, options, leading)
    channels, size = preparation.channels, preparation.size
    amount = len(sources) * channels * size[0] * size[1]
    streamed = options.stream == "yes" or (options.stream == "auto" and amount > STREAM_BEYOND)
    target = None if streamed else _room(files, (len(sources), channels, *size))
    sums = np.zeros((len(sources), channels, 2), np.int64)
    marks = [(0, "")] * len(sources)

    def read(row: int) -> None:
        data = sources[row] if isinstance(sources[row], bytes) else read_bytes(sources[row])  # type: ignore[arg-type]
        assert isinstance(data, bytes)
        marks[row] = len(data), digest_of(data)
        plain, files.kinds[row] = read_plain(data, channels, preparation.intensity)
        if (own := size_of_plain(plain)) != size:
            files.resized[row] = own
        pixels = pixels_at(plain, size, preparation.resize)
        if target is None:
            sums[row] = channel_sums(pixels)
        else:
            target.numpy()[row] = pixels

    unopened = dict(files.failed)
    files.failed.clear()
    files.attempt(read)
    files.failed |= unopened
    files.refuse_mostly_unreadable()
    rows = torch.tensor([row for row in range(len(sources)) if row not in files.failed], dtype=torch.int64)
    notes = [*_notes(files, preparation, options.size is None), *intensity_notes]
    if target is None:
        images: Any = FileImages(
            [sources[row] for row in rows.tolist()], channels, size, preparation.intensity, torch.from_numpy(sums)[rows],
            preparation.resize,
        )  # fmt: skip
        notes.append(f"streamed: {count(len(rows), 'image')} decoded on demand")
    else:
        images = target[rows] if files.failed else target
    return Decoded(images, rows, tuple(notes), tuple(marks), preparation)


def decode_each(sources: Sequence[Source], like: Preparation) -> tuple[dict[int, np.ndarray], dict[int, str]]:
    """uint8 [C,H,W] of each readable source by its index, and the reason why each of the others cannot be read.

    A colour image counts as unreadable if the network takes grey ones.
    """
    files, found = _Files(sources, [""] * len(sources), ""), dict[int, np.ndarray]()

    def read(row: int) -> None:
        header = read_header(sources[row])
        if like.channels == 1 and not header.grey and not header.bands:
            raise ValueError("is a colour image, but the network takes grey ones")
        plain, _ = read_plain(sources[row], like.channels, like.intensity)
        found[row] = pixels_at(plain, like.size, like.resize)

    files.attempt(read)
    return found, files.failed


def channel_sums(pixels: np.ndarray) -> np.ndarray:
    """int64 [C,2]: the sum and the sum of squares of uint8 [C,H,W]."""
    flat = pixels.reshape(len(pixels), -1).astype(np.int64)
    return np.stack([flat.sum(1), (flat * flat).sum(1)], 1)


def _prepared(files: _Files, headers: dict[int, Header], options: ReadOptions, leading: int) -> tuple[Preparation, list[str]]:
    """How all images are to be converted, and a note on the range of values if some have more than 8 bits."""
    size = options.size or default_size(
        [h.size for h in headers.values()], [h.size for row, h in headers.items() if row < leading]
    )  # fmt: skip
    own = Preparation(
        size,
        options.like.channels
        if options.like
        else common_channels(files.where, files.names, {row: (h.bands, h.grey) for row, h in headers.items()}),
        options.like.intensity if options.like else parse_range(options.intensity_range),
        options.how,
    )
    if options.like is not None and own.channels == 1:
        coloured = [files.names[row] for row, h in headers.items() if not h.grey and not h.bands]
        if coloured:
            raise InputError(f"{files.where}: holds colour images ({few(coloured)}), but the network takes grey ones")
    deep = [row for row, h in headers.items() if h.deep]
    if not deep:
        return own if options.like else replace(own, intensity=None), []
    if own.intensity is not None:
        return own, []
    judged = [row for row in deep if row < leading] or deep
    found: dict[int, tuple[float, float, bool]] = {}

    def measure(row: int) -> None:
        values = read_deep(files.sources[row])
        found[row] = float(values.min()), float(values.max()), values.dtype.kind == "i"

    files.attempt(measure, judged)
    if not found:
        return replace(own, intensity=Range(0, 65535)), []
    taken = measured(list(found.values()))
    low, high = min(v[0] for v in found.values()), max(v[1] for v in found.values())
    note = (
        f"intensity: {taken} became grey levels 0 to 255 in {count(len(deep), 'image')} of more than 8 bits, whose values run from "
        f"{low:g} to {high:g} in the training part; --intensity-range LOW,HIGH chooses another range"
    )
    return replace(own, intensity=taken), [note]


def _room(files: _Files, shape: tuple[int, ...]) -> Tensor:
    try:
        return torch.empty(shape, dtype=torch.uint8)
    except (RuntimeError, MemoryError):
        amount = np.prod([float(n) for n in shape]) / 2**30
        raise InputError(
            f"{files.where}: {shape[0]:,} images of {shape[2]}x{shape[3]} need {amount:.1f} GiB of memory; "
            "give a smaller --image-size"
        ) from None


@contextmanager
def _quietly() -> Any:
    """Silences Pillow's warnings about odd metadata; damaged pixels still raise errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _reason(error: Exception) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image"
    return str(getattr(error, "strerror", None) or error or type(error).__name__).splitlines()[0][:200]


def _notes(files: _Files, preparation: Preparation, by_default: bool) -> list[str]:
    counts = Counter(kind for row, found in files.kinds.items() if row not in files.failed for kind in found)
    notes = []
    if counts:
        found = [
            count(counts[kind], said.replace("|s", ""), said.replace("|s", "s")) for kind, said in _SAID.items() if counts[kind]
        ]
        notes.append("converted: " + ", ".join(found))
    others = [size for row, size in files.resized.items() if row not in files.failed]
    if others:
        rows, columns = preparation.size
        how = in_words(others, preparation.size, preparation.resize)
        usual = by_default and rows == columns and rows in SIDES
        why = ", the largest of 32, 64, 128 and 224 that their size and the training time allow" if usual else ""
        notes.append(
            f"sizes: {count(len(others), 'image')} resized to {rows}x{columns} ({how}{why}); --image-size N or H,W chooses another "
            "size"
        )
    if files.failed:
        shown = [f"{files.names[row]} ({files.failed[row]})" for row in sorted(files.failed)]
        notes.append(f"skipped: {count(len(files.failed), 'file')} that cannot be read as images: {few(shown)}")
    return notes
