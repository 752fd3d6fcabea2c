"""Small data sets on disk, made as tests need them."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def picture(number: int, size: tuple[int, int] = (6, 6), channels: int = 3) -> np.ndarray:
    """uint8 [H,W,3] or [H,W], different for every number."""
    shape = (*size, channels) if channels > 1 else size
    return np.random.default_rng(number).integers(0, 256, shape, dtype=np.uint8)


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def image_folder(
    root: Path, parts: Sequence[str] = ("train", "test"), classes: Sequence[str] = ("cat", "dog"), each: int = 4,
    size: tuple[int, int] = (6, 6), channels: int = 3, groups: Sequence[str] = ("",),
) -> Path:  # fmt: skip
    number = 0
    for part in parts:
        for name in classes:
            for group in groups:
                for index in range(each):
                    save(root / part / name / group / f"{index}.png", picture(number, size, channels))
                    number += 1
    return root


def arrays(path: Path, count: int = 8, kinds: int = 2, size: tuple[int, int] = (6, 6), **fields: object) -> Path:
    """An .npz file of `count` pictures, whose fields can be replaced; None leaves one out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content: dict[str, object] = {"x": picture(1, (count, *size)), "y": np.arange(count) % kinds} | fields
    np.savez(path, **{key: value for key, value in content.items() if value is not None})  # type: ignore[arg-type]
    return path


def array_folder(root: Path, **fields: object) -> Path:
    for part in ("train", "test"):
        arrays(root / f"{part}.npz", **fields)  # type: ignore[arg-type]
    return root


def manifest(path: Path, rows: Iterable[Sequence[str]], header: Sequence[str] = ("path", "label")) -> Path:
    """A CSV beside which every path of `rows` that does not exist yet gets a picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path
