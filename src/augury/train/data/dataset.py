"""Data sets: images, labels and splits, from a name, a folder, arrays or a manifest."""

import inspect
from dataclasses import dataclass

from torch import Tensor

from augury.core import registry
from augury.core.errors import InputError


@dataclass(frozen=True)
class Split:
    """images uint8 [N,C,H,W], labels int64 [N], ids int64 [N], groups int64 [N]."""

    images: Tensor
    labels: Tensor
    ids: Tensor
    groups: Tensor | None = None


@dataclass(frozen=True)
class Dataset:
    """Train, validation and test parts; mean and std per channel of the training part, in [0, 1]."""

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    mean: tuple[float, ...]
    std: tuple[float, ...]
    group_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def load(data: str, *, data_dir: str | None = None, validation: float = 0.1, image_size: int | None = None) -> Dataset:
    """A data set by name."""
    if not 0 < validation < 1:
        raise InputError(f"--validation: {validation:g} must lie between 0 and 1")
    if not registry.has("dataset", data):
        raise InputError(f"DATA: {registry.unknown('data', data, registry.names('dataset'))}")
    made = registry.get("dataset", data)
    return made(data_dir=data_dir) if "data_dir" in inspect.signature(made).parameters else made()
