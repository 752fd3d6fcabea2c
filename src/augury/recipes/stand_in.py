"""Data sets with the shape of a published one but none of its pixels, so that a run can be built without the data."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from augury.recipes.needs import DATA
from augury.train.data.dataset import Dataset, Retrieval, Split

_HELD = 40


@dataclass(frozen=True)
class Shape:
    """Shape of images, and numbers of classes and subgroups. identities: whether the test part has other classes (identities)."""

    channels: int
    side: int
    classes: int
    subgroups: int = 0
    identities: bool = False


SHAPES = {
    "digits": Shape(1, 32, 10), "digits_correlation": Shape(1, 8, 2, 2), "cifar10": Shape(3, 32, 10), "cifar100": Shape(3, 32, 100),
    "mnist": Shape(1, 28, 10), "mnist_correlation": Shape(1, 28, 2, 2), "imagenet": Shape(3, 224, 1000),
    "tiny_imagenet": Shape(3, 64, 200), "market1501": Shape(3, 128, 751, 6, True), "waterbirds": Shape(3, 224, 2, 2),
    "isic": Shape(3, 224, 2, 2),
    "celeba": Shape(3, 128, 2, 2),
}  # fmt: skip
# With a tenth held out, 200 and 480 remain, as in the data sets themselves.
_OWN_IMAGES = {"digits": 222, "digits_correlation": 533}


def stand_in(settings: dict[str, Any]) -> Dataset:
    """A data set with the shape and number of training images of a row's settings; every pixel has the same value.

    The pixels take no memory. Raises KeyError for data without an entry in SHAPES.
    """
    name = settings["data"]
    shape = SHAPES[name]
    size = settings.get("image_size") or shape.side
    height, width = (size, size) if isinstance(size, int) else tuple(size)
    images = DATA[name][2] if name in DATA else _OWN_IMAGES[name]
    count = max(2 * shape.classes, round(images * settings.get("fraction", 1.0) * (1 - settings.get("validation", 0.1))))
    start = 0

    def split(number: int) -> Split:
        nonlocal start
        place = torch.arange(number)
        groups = (place // shape.classes) % shape.subgroups if shape.subgroups else None
        start += number
        return Split(_pixels(number, shape.channels, height, width), place % shape.classes, place + start - number, groups)

    held = max(_HELD, 2 * shape.classes)
    train, validation, test = split(count), split(held), split(held)
    classes = tuple(f"class {number}" for number in range(shape.classes))
    names = tuple(f"subgroup {number}" for number in range(shape.subgroups))
    retrieval = Retrieval(split(held), split(held)) if shape.identities else None
    channels = shape.channels
    return Dataset(name, classes, train, validation, test, (0.5,) * channels, (0.25,) * channels, names, (), retrieval)


def _pixels(count: int, channels: int, height: int, width: int) -> Tensor:
    return torch.full((), 128, dtype=torch.uint8).expand(count, channels, height, width)
