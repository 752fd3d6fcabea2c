"""Contact sheets: images before and after an augmentation, as PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from augury.augment.shown import original_heading, shown_bands
from augury.core.errors import InputError

# A mid-dark neutral surround, as photographers use: suits light and dark pages, and black, white and grey fills stay visible.
_GROUND, _TEXT, _MUTED = (84, 86, 90), (255, 255, 255), (214, 216, 220)
# Pillow's default typeface covers little more than Latin-1.
_PLAIN = str.maketrans({"−": "-", "–": "-", "—": "-", "…": "...", "’": "'", "“": '"', "”": '"', "\u202f": " "})
_SMALLEST, _LARGEST = 96, 160
_GAP, _MARGIN = 6, 14
_LINE, _TEXT_SIZE, _TITLE_SIZE = 13, 11, 17


@dataclass(frozen=True, slots=True)
class Sheet:
    """A contact sheet for a page: title, caption, and the picture as PNG bytes."""

    title: str
    caption: str
    png: bytes


@dataclass(frozen=True, slots=True)
class Block:
    """The effect of one augmentation: the originals and several draws of the same images.

    before: uint8 [R,C,H,W], tensor or array; only the channels `shown_bands` are drawn. after: draws, each uint8 [R,C,H,W]
    (H and W may differ). captions: per draw and image, the parameters drawn. names: one text below each original, such as its
    class. headings: above the first columns after the original.
    """

    title: str
    before: Any
    after: Sequence[Any]
    captions: Sequence[Sequence[str]] | None = None
    names: Sequence[str] | None = None
    headings: Sequence[str] = ("draws",)


def sheet(
    before: object,
    after: Sequence[object],
    captions: Sequence[Sequence[str]] | None = None,
    *,
    title: str = "",
    names: Sequence[str] | None = None,
) -> bytes:
    """PNG of one block: a row per image, with the original and then its draws; see `Block`. Raises InputError as `sheets` does."""
    return sheets([Block(title, before, after, captions, names)])


def sheets(blocks: Sequence[Block]) -> bytes:
    """PNG of several blocks, one below the other.

    Images smaller than 96 pixels are enlarged by a whole factor without interpolation; those larger than 160 are reduced.
    Raises InputError if there are no images, they are not uint8 [R,C,H,W], or draws or captions do not match the originals.
    """
    if not blocks:
        raise InputError("sheets: no blocks; give at least one augmentation's images")
    parts = [_draw(block) for block in blocks]
    width = max(part.width for part in parts)
    height = sum(part.height for part in parts)
    picture = Image.new("RGB", (width, height), _GROUND)
    top = 0
    for part in parts:
        picture.paste(part, (0, top))
        top += part.height
    target = io.BytesIO()
    picture.save(target, "PNG", optimize=True)
    return target.getvalue()


def _draw(block: Block) -> Image.Image:
    channels = np.shape(block.before)[1] if np.ndim(block.before) == 4 else 3
    original = original_heading(channels)
    columns = [_pictures(block.before, "before"), *(_pictures(draw, f"after[{n}]") for n, draw in enumerate(block.after))]
    rows = len(columns[0])
    if rows == 0 or any(len(column) != rows for column in columns):
        raise InputError(
            f"sheet: {[len(column) for column in columns]} images per column; give every draw as many as `before`, at least 1"
        )
    texts = _texts(block, rows)
    wide = max(picture.width for column in columns for picture in column)
    tall = max(picture.height for column in columns for picture in column)
    lines = [[_wrap(text, wide) for text in column] for column in texts]
    below = [max(len(column[row]) for column in lines) * _LINE for row in range(rows)]
    headings = [_wrap(text, wide, most=2) for text in (original, *block.headings)[: len(columns)]]
    high = max(map(len, headings))  # lines of the tallest heading
    head = (_TITLE_SIZE + 16 if block.title else 0) + high * _LINE + 6
    width = 2 * _MARGIN + len(columns) * wide + (len(columns) - 1) * _GAP + _GAP
    canvas = Image.new("RGB", (width, head + sum(tall + extra + _GAP for extra in below) + 2 * _MARGIN), _GROUND)
    pen = ImageDraw.Draw(canvas)
    if block.title:
        pen.text((_MARGIN, _MARGIN - 2), _cut(_plain(block.title), width - 2 * _MARGIN, _TITLE_SIZE), _TEXT, _font(_TITLE_SIZE))
    for number, column in enumerate(columns):
        # A wider gap separates the original from its draws.
        left = _MARGIN + number * (wide + _GAP) + (_GAP if number else 0)
        for place, line in enumerate(headings[number] if number < len(headings) else ()):
            pen.text((left, _MARGIN + head - 8 + (place - high) * _LINE), line, _MUTED, _font(_TEXT_SIZE))
        top = _MARGIN + head
        for row, picture in enumerate(column):
            canvas.paste(picture, (left, top))
            for place, line in enumerate(lines[number][row]):
                pen.text((left, top + tall + 1 + place * _LINE), line, _TEXT, _font(_TEXT_SIZE))
            top += tall + below[row] + _GAP
    return canvas


def _pictures(images: object, name: str) -> list[Image.Image]:
    array = np.asarray(images.detach().cpu() if hasattr(images, "detach") else images)
    if array.dtype != np.uint8 or array.ndim != 4 or 0 in array.shape[1:]:
        raise InputError(f"sheet: {name} is {array.dtype} {list(array.shape)}; give uint8 [R,C,H,W]")
    array = array[:, list(shown_bands(array.shape[1]))]
    array = array.repeat(3, axis=1) if array.shape[1] == 1 else array
    return [_resize(Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))) for image in array]


def _resize(image: Image.Image) -> Image.Image:
    side = max(image.size)
    if side < _SMALLEST:
        times = -(-_SMALLEST // side)
        return image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
    if side > _LARGEST:
        small = (max(1, round(image.width * _LARGEST / side)), max(1, round(image.height * _LARGEST / side)))
        return image.resize(small, Image.Resampling.LANCZOS)
    return image


def _texts(block: Block, rows: int) -> list[list[str]]:
    """Texts below the pictures, [columns][rows]."""
    draws = block.captions if block.captions is not None else [[""] * rows] * len(block.after)
    columns = [list(block.names) if block.names is not None else [""] * rows, *(list(column) for column in draws)]
    if len(columns) != len(block.after) + 1 or any(len(column) != rows for column in columns):
        raise InputError(
            f"sheet: captions do not fit {len(block.after)} draws of {rows} images; give one text for each image of each draw"
        )
    return columns


def _wrap(text: str, width: int, most: int = 6) -> list[str]:
    """Wraps text to the width at spaces, and long paths at slashes; the last of `most` lines is truncated if there is more."""
    lines: list[str] = []
    words = [part for word in _plain(text).split() for part in _parts(word, width)]
    while words:
        line = words.pop(0)
        while words and _length(f"{line} {words[0]}") <= width:
            line = f"{line} {words.pop(0)}"
        if len(lines) == most - 1 and words:
            return [*lines, _cut(f"{line} {' '.join(words)}", width, _TEXT_SIZE)]
        lines.append(_cut(line, width, _TEXT_SIZE))
    return lines


def _parts(word: str, width: int) -> list[str]:
    return [word] if _length(word) <= width else word.replace("/", "/ ").split()


def _plain(text: str) -> str:
    return text.translate(_PLAIN).encode("latin-1", "replace").decode("latin-1")


def _cut(text: str, width: int, size: int) -> str:
    if _length(text, size) <= width:
        return text
    while text and _length(text + "...", size) > width:
        text = text[:-1]
    return text + "..."


def _length(text: str, size: int = _TEXT_SIZE) -> float:
    return _font(size).getlength(text)


def _font(size: int) -> Any:
    return ImageFont.load_default(size)
