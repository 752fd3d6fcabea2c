"""Data sets: images, labels and splits, from a name, a folder, arrays or a manifest."""

import inspect
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from augury.core import registry
from augury.core.errors import InputError
from augury.train.data.parts import Part, Parts
from augury.train.data.resize import Resize, Sizing, resized_tensor
from augury.train.data.splits import cut
from augury.train.data.stream import Stream, sample_of
from augury.train.data.words import count, few


@dataclass(frozen=True)
class Split:
    """images uint8 [N,C,H,W], labels int64 [N], ids int64 [N], groups int64 [N]."""

    images: Tensor
    labels: Tensor
    ids: Tensor
    groups: Tensor | None = None


@dataclass(frozen=True)
class Retrieval:
    """Images to look for, and those to look among: labels are identities (-1: junk, 0: nobody's), groups cameras."""

    query: Split
    gallery: Split


@dataclass(frozen=True)
class Dataset:
    """Train, validation and test parts; mean and std per channel of the training part, in [0, 1].

    `ids` number the images of the data set and are unique over its parts. `group_names` name the numbers in
    `Split.groups`, where the data have groups. `notes` say in one line each what was converted, skipped or cut.
    retrieval: queries and gallery, where the data are for re-identification.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    mean: tuple[float, ...]
    std: tuple[float, ...]
    group_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    retrieval: Retrieval | None = None


def load(
    data: str,
    *,
    data_dir: str | None = None,
    validation: float = 0.1,
    image_size: int | tuple[int, ...] | None = None,
    resize: Resize = "cover",
    stream: Stream = "auto",
) -> Dataset:
    """The data set that `data` names: a registered name, a folder, a CSV manifest or `hf:owner/name` (docs/data.md).

    data_dir: where a named data set is or is downloaded to. validation: the fraction in (0, 1) that is cut from the training
    part where the data bring no validation part beside a test part; the cut is stratified and always the same.
    image_size: what images are brought to, a side or (rows, columns), in pixels; by default images of one size stay as they
    are, and others get the shorter side of the training part's most common size. resize: how, see `resize.Sizing`.
    stream: whether files stay files, decoded while they are used (`augury.train.data.stream`); auto: beyond 8 GiB of pixels.
    Raises InputError for data that are not there or not as they should be, RunError where a download fails.
    """
    if not 0 < validation < 1:
        raise InputError(f"--validation: {validation:g} must lie between 0 and 1, for example 0.1")
    sizing = Sizing.of(image_size, resize)
    found = _read(str(data), data_dir, sizing, stream)
    made = found if isinstance(found, Dataset) else assemble(str(data), found, validation)
    if sizing.size is not None and isinstance(found, Dataset):
        made = _resized(made, sizing)
    if stream == "yes" and isinstance(made.train.images, Tensor):
        made = replace(made, notes=(*made.notes, "--stream yes: these data are arrays, held in memory"))
    return made


def assemble(name: str, parts: Parts, fraction: float) -> Dataset:
    """A data set from the parts that were read: checks the classes, cuts validation, numbers the images, takes mean and std."""
    _check_classes(name, parts)
    numbers = torch.arange(len(parts.train))
    train, held, notes = parts.train, parts.validation, list(parts.notes)
    start = len(parts.train)
    if held is None:
        kept, chosen = cut(train.labels, fraction, train.groups)
        if len(chosen) == 0:
            raise InputError(f"{name}: no class has two training images, so none is left for validation; add images")
        alone = int((torch.bincount(train.labels) == 1).sum())
        if alone:
            notes.append(f"{count(alone, 'class', 'classes')} with a single training image: none is held out for validation")
        validation = _split(train[chosen], chosen)
        train, numbers = train[kept], kept
    else:
        validation = _split(held, torch.arange(start, start + len(held)))
        start += len(held)
    mean, std = statistics(train.images)
    test = _split(parts.test, torch.arange(start, start + len(parts.test)))
    retrieval = None
    if parts.retrieval is not None:
        start += len(parts.test)
        query, gallery = parts.retrieval
        middle = start + len(query)
        looked, among = torch.arange(start, middle), torch.arange(middle, middle + len(gallery))
        retrieval = Retrieval(_split(query, looked), _split(gallery, among))
    return Dataset(
        name, parts.classes, _split(train, numbers), validation, test, mean, std, parts.group_names, tuple(notes), retrieval
    )  # fmt: skip


def statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of uint8 [N,C,H,W], in [0, 1].

    Exact, from each channel's histogram. The deviation is at least 1/255 (one grey level), so that normalising constant
    images divides by no zero. Of images that stay in their files, 2,048 are read.
    """
    levels = torch.arange(256, dtype=torch.float64) / 255
    images = sample_of(images)
    means, stds = [], []
    for channel in range(images.shape[1]):
        counts = torch.zeros(256, dtype=torch.int64)
        for chunk in images[:, channel].split(4096):
            counts += torch.bincount(chunk.flatten(), minlength=256)
        share = counts / counts.sum()
        mean = (share * levels).sum()
        means.append(mean.item())
        stds.append(max((share * (levels - mean) ** 2).sum().sqrt().item(), 1 / 255))
    return tuple(means), tuple(stds)


def _read(data: str, data_dir: str | None, sizing: Sizing, stream: Stream) -> Dataset | Parts:
    if registry.has("dataset", data):
        function = registry.get("dataset", data)
        # image_size, for functions of others, is a side where rows and columns are as many.
        size = sizing.size
        side = size[0] if size is not None and size[0] == size[1] else size
        offered: dict[str, Any] = {"data_dir": data_dir, "sizing": sizing, "image_size": side}
        return function(**{key: value for key, value in offered.items() if key in inspect.signature(function).parameters})
    from augury.train.data.source import read

    return read(data, data_dir, sizing, stream)


def _split(part: Part, ids: Tensor) -> Split:
    return Split(part.images, part.labels, ids, part.groups)


def _resized(dataset: Dataset, sizing: Sizing) -> Dataset:
    """A ready-made data set with its images brought to a size."""
    assert sizing.size is not None
    size = sizing.size

    def of(split: Split) -> Split:
        return replace(split, images=resized_tensor(split.images, size, sizing.how))

    train = of(dataset.train)
    mean, std = statistics(train.images)
    return replace(dataset, train=train, validation=of(dataset.validation), test=of(dataset.test), mean=mean, std=std)


def _check_classes(name: str, parts: Parts) -> None:
    """At least two classes; every class has training images; no part is empty."""
    if len(parts.test) == 0:
        raise InputError(f"{name}: the test part has no images; add some")
    if len(parts.classes) < 2:
        raise InputError(f"{name}: has the single class {few(parts.classes)}; a classifier needs two or more")
    counts = torch.bincount(parts.train.labels, minlength=len(parts.classes))
    empty = [parts.classes[i] for i in (counts == 0).nonzero()[:, 0].tolist()]
    if empty:
        raise InputError(f"{name}: no training image of class {few(empty)}; add some to the training part, or remove the class")
