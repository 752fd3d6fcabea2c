"""A look at the data before anything is planned: how many images, how large, how even, how many of them twice."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional

from augury.train.data.dataset import Dataset

_SAMPLED = 200
_HASHED = 20_000
_LEVELS = 3.0


@dataclass(frozen=True)
class Look:
    """images: of the training, validation and test part. side: the shorter side of the typical image, in pixels. uneven: the
    largest class by the smallest, of the training part. channels: of the images. near: training and validation images
    that look like another one. crossing: test images that look like a training image."""

    images: tuple[int, int, int]
    classes: int
    side: int
    uneven: float
    channels: int
    near: int
    crossing: int

    def dict(self) -> dict[str, Any]:
        """For result.json."""
        return {
            "images": list(self.images), "classes": self.classes, "side": self.side, "uneven": round(self.uneven, 3),
            "grey": self.channels == 1, "channels": self.channels,
            "near_duplicates": self.near, "near_duplicates_in_test": self.crossing,
        }  # fmt: skip

    def words(self) -> str:
        """One line."""
        train, validation, test = self.images
        colour = "grey" if self.channels == 1 else "colour" if self.channels == 3 else f"of {self.channels} channels"
        said = (
            f"{train + validation:,} training and {test:,} test images of {self.classes} classes, {colour}, typically {self.side} "
        )
        said += "pixels on the shorter side"
        said += f"; the most common class has {self.uneven:.1f} times the images of the rarest" if self.uneven > 1.5 else ""
        said += f"; {self.near:,} training images look like another one" if self.near else ""
        return said + (f"; {self.crossing:,} test images look like a training image" if self.crossing else "")


def typical_side(data: str) -> int | None:
    """The median shorter side of image files below a folder, from a sample of them; None if there are none, as in arrays.

    Only headers are read.
    """
    root = Path(data).expanduser()
    if not root.is_dir():
        return None
    sides: list[int] = []
    for folder, _, names in os.walk(root):
        step = max(1, len(names) // 20)
        for name in sorted(names)[::step]:
            try:
                with Image.open(os.path.join(folder, name)) as opened:
                    sides.append(min(opened.size))
            except (OSError, UnidentifiedImageError, ValueError):
                continue
            if len(sides) >= _SAMPLED:
                return sorted(sides)[len(sides) // 2]
    return sorted(sides)[len(sides) // 2] if sides else None


def look(dataset: Dataset, side: int | None) -> Look:
    """The data at a glance. side: of the files, where they have been brought to another."""
    train, validation, test = dataset.train, dataset.validation, dataset.test
    counts = torch.bincount(torch.cat([train.labels, validation.labels]), minlength=len(dataset.classes))
    near, crossing = _alike(dataset)
    return Look(
        (len(train.ids), len(validation.ids), len(test.ids)), len(dataset.classes), side or int(min(train.images.shape[-2:])),
        float(counts.max()) / max(1, int(counts.min())), int(train.images.shape[1]), near, crossing,
    )  # fmt: skip


def _alike(dataset: Dataset) -> tuple[int, int]:
    """Training images whose difference hash another one has, and test images whose hash a training image has."""
    parts = [part.images for part in (dataset.train, dataset.validation, dataset.test)]
    if not all(isinstance(images, Tensor) for images in parts) or sum(map(len, parts)) > _HASHED:
        return 0, 0
    train, test = _thumbnails(torch.cat(parts[:2])), _thumbnails(parts[2])
    places: dict[bytes, list[int]] = {}
    for row, value in enumerate(_hashes(train)):
        places.setdefault(value, []).append(row)
    near: set[int] = set()
    for rows in places.values():
        for k, row in enumerate(rows):
            near |= {each for other in rows[k + 1 :] if _same(train[row], train[other]) for each in (row, other)}
    crossing = sum(
        any(_same(test[row], train[other]) for other in places.get(value, ())) for row, value in enumerate(_hashes(test))
    )  # fmt: skip
    return len(near), crossing


def _thumbnails(images: Tensor) -> Tensor:
    """Grey, float [N,16,17], in levels 0 to 255."""
    grey = [part.float().mean(1, keepdim=True) for part in images.split(1024)]
    return torch.cat([functional.interpolate(part, (16, 17), mode="area")[:, 0] for part in grey])


def _hashes(thumbnails: Tensor) -> list[bytes]:
    """A difference hash: which of neighbouring pixels of a 9x8 image is lighter, which brightness and small noise rarely alter."""
    small = functional.interpolate(thumbnails[:, None], (8, 9), mode="area")[:, 0]
    return [row.numpy().tobytes() for row in (small[:, :, 1:] > small[:, :, :-1]).flatten(1)]


def _same(one: Tensor, other: Tensor) -> bool:
    """Whether thumbnails with the same hash show the same: apart by fewer than three grey levels on average."""
    return float((one - other).abs().mean()) < _LEVELS
