"""The arguments and the result of an experiment."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from augury.core.errors import InputError
from augury.explain.measurements.measurement import Figure, Table
from augury.explain.measurements.sets import some
from augury.train.data.dataset import Dataset, Split


@dataclass(frozen=True)
class Claim:
    """One checked claim of a paper.

    claim: what the paper says, in our words. source: paper and section. stated: the tolerance, fixed before anything is
    measured. measured: the outcome. values: the numbers behind it, for result.json.
    """

    claim: str
    source: str
    stated: str
    measured: str
    holds: bool
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Checked:
    """The result of an experiment: a paragraph on the method, the claims, tables and figures."""

    summary: str
    claims: tuple[Claim, ...]
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True)
class Pictures:
    """Grey images, uint8 [N,1,H,W], with labels, int64 [N], split into a training and a test part."""

    name: str
    classes: int
    train: Split
    test: Split

    @staticmethod
    def of(dataset: Dataset) -> "Pictures":
        """A data set in grey. Its validation part is added to the training part, since no selection takes place."""
        first, second = dataset.train, dataset.validation
        joined = Split(
            torch.cat([first.images[:], second.images[:]]),
            torch.cat([first.labels, second.labels]),
            torch.cat([first.ids, second.ids]),
        )
        return Pictures(dataset.name, len(dataset.classes), _grey(joined), _grey(dataset.test))

    def some(self, train: int, test: int, seed: int) -> "Pictures":
        """At most `train` and `test` images of the two parts, with classes in turn, chosen by hash."""
        return Pictures(self.name, self.classes, some(self.train, train, seed), some(self.test, test, seed))


def pixels(images: Tensor, side: int) -> Tensor:
    """float64 [N, side * side] in [0, 1]: uint8 [N,1,H,W] downsampled to `side` by averaging."""
    return torch.nn.functional.adaptive_avg_pool2d(images.double() / 255, side).flatten(1)


def _grey(split: Split) -> Split:
    images = split.images[:]
    if not isinstance(images, Tensor) or images.ndim != 4:
        raise InputError("DATA: the experiments need images that fit into memory; name smaller data")
    grey = images.float().mean(1, keepdim=True).round().to(torch.uint8) if images.shape[1] > 1 else images
    return Split(grey, split.labels, split.ids)
