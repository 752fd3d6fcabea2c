"""Photographs from a published list of files, decoded in several threads."""

import csv
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from augury.core.errors import InputError
from augury.train.data.decoded_cache import DecodedCache, key_of
from augury.train.data.pool import each
from augury.train.data.resize import ImageSize, Resize, Size, planes, size_of


def published_size(image_size: ImageSize, how: Resize, default: Size, name: str) -> Size:
    """The image size of a data set whose resizing is published; InputError for any other kind of resizing."""
    if how != "cover":
        raise InputError(f"--resize {how}: {name} is cropped as published; leave it out")
    return size_of(image_size) or default


def read_photographs(
    paths: Sequence[Path], size: Size, *, resize: Size | None = None, cut: int | None = None, cache: DecodedCache | None = None
) -> tuple[Tensor, list[str]]:  # fmt: skip
    """uint8 [N,3,*size] (rows, columns), and notes. cut: side of the central square to crop first; resize: size to stretch images
    to before the central `size` is cropped. cache: where the decoded images are kept.

    Resizing is bilinear. Raises InputError naming the first file that is missing or not an image.
    """
    if cache is None:
        return _read(paths, size, resize, cut), []
    key = key_of(paths, (), {"photographs": [list(size), None if resize is None else list(resize), cut]})
    found, note = cache.find(key)
    if found is not None and found.images is not None:
        return found.images, []
    made = _read(paths, size, resize, cut)
    return made, [each for each in (note, cache.store(key, made, {})) if each is not None]


def _read(paths: Sequence[Path], size: Size, resize: Size | None, cut: int | None) -> Tensor:
    out = torch.empty(len(paths), 3, *size, dtype=torch.uint8)

    def read(number: int) -> None:
        try:
            with Image.open(paths[number]) as opened:
                picture = opened.convert("RGB")
        except (OSError, UnidentifiedImageError) as error:
            raise InputError(
                f"{paths[number]}: not readable as an image ({getattr(error, 'strerror', None) or 'damaged'})"
            ) from None
        if cut is not None:
            picture = _centre(picture, (min(cut, *picture.size),) * 2)
        rows, columns = resize or size
        picture = _centre(picture.resize((columns, rows), Image.Resampling.BILINEAR), size)
        out[number] = torch.from_numpy(planes(picture).copy())

    each(read, len(paths))
    return out


def _centre(picture: Image.Image, size: Size) -> Image.Image:
    """The central rows and columns; the picture must not be smaller than `size`."""
    left, top = (picture.width - size[1]) // 2, (picture.height - size[0]) // 2
    return picture.crop((left, top, left + size[1], top + size[0]))


def find(data_dir: str | None, name: str, inside: Sequence[str], file: str) -> Path:
    """The first of `inside` (folders below `data_dir`) that holds `file`; InputError naming all of them if none does."""
    if data_dir is None:
        raise InputError(f"--data-dir: {name} is not part of Augury; say where {file} is")
    for folder in inside:
        if (Path(data_dir) / folder / file).is_file():
            return Path(data_dir) / folder
    places = ", ".join(str(Path(data_dir) / folder / file) for folder in inside)
    raise InputError(f"--data-dir {data_dir}: none of {places} exists")


def read_table(path: Path, needed: Sequence[str]) -> list[dict[str, str]]:
    """A CSV's rows; InputError if a needed column is missing or if there are no rows."""
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = [column for column in needed if column not in (reader.fieldnames or ())]
        if missing:
            raise InputError(f"{path}: has no column {missing[0]!r}; it needs {', '.join(needed)}")
        rows = list(reader)
    if not rows:
        raise InputError(f"{path}: has no rows")
    return rows


def integer(row: dict[str, str], column: str, allowed: Sequence[int], path: Path) -> int:
    """A cell as one of the allowed integers; InputError naming the file, column and value otherwise."""
    found = {str(value): value for value in allowed}.get((row[column] or "").strip())
    if found is None:
        raise InputError(f"{path}: {column} is {row[column]!r}; expected one of {', '.join(map(str, allowed))}")
    return found
