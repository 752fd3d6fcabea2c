"""Data sets: images, labels and splits, from a name, a folder, arrays or a manifest."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from augury.core import registry
from augury.core.doors import door
from augury.core.errors import InputError
from augury.core.target_kind import TargetKind
from augury.train.data.decoded_cache import DecodedCache
from augury.train.data.fingerprint import Fingerprint, mark_arrays, repetition_note
from augury.train.data.intensity import AUTO, parse_range
from augury.train.data.parts import Part, Parts
from augury.train.data.preparation import Preparation, ReadOptions
from augury.train.data.resize import ImageSize, Resize, Size, fit_tensor, size_of
from augury.train.data.splits import cut
from augury.train.data.stream import FileImages, Stream, picked
from augury.train.data.words import count, few


@dataclass(frozen=True)
class Split:
    """images uint8 [N,C,H,W], labels int64 [N], ids int64 [N], groups int64 [N]. Where an image may have several labels, these are
    bool [N, classes]."""

    images: Tensor
    labels: Tensor
    ids: Tensor
    groups: Tensor | None = None

    @property
    def kind(self) -> TargetKind:
        """What its labels say."""
        return TargetKind.of(self.labels)

    @property
    def strata(self) -> Tensor:
        """int64 [N]: what parts of it are stratified by."""
        return self.kind.strata(self.labels)

    def __getitem__(self, rows: Tensor) -> "Split":
        """Some rows, int64 [n] or bool [N]; images in files are decoded."""
        return self._with(self.images[rows], rows)

    def chosen(self, rows: Tensor) -> "Split":
        """Some rows; images in files stay there."""
        return self._with(picked(self.images, rows), rows)

    def _with(self, images: Tensor, rows: Tensor) -> "Split":
        return Split(images, self.labels[rows], self.ids[rows], None if self.groups is None else self.groups[rows])


@dataclass(frozen=True)
class Retrieval:
    """Images to look for, and those to look among: labels are identities (-1: junk, 0: nobody's), groups cameras."""

    query: Split
    gallery: Split


@dataclass(frozen=True)
class Origin:
    """Where a data set came from. place: absolute path of its folder or file, None where it has none. names: by image id.

    fingerprint: of the parts as the data bring them. preparation: what files were brought to; None where data are arrays.
    """

    place: str | None
    names: tuple[str, ...]
    fingerprint: Fingerprint
    preparation: Preparation | None = None


@dataclass(frozen=True)
class Dataset:
    """Train, validation and test parts; mean and std per channel of the training part, in [0, 1].

    `ids` number the images of the data set and are unique over its parts. `group_names` name the numbers in
    `Split.groups`, where the data have groups. `notes` say in one line each what was converted, skipped or cut.
    retrieval: queries and gallery, where the data are for re-identification. origin: where the data came from, and what they
    were; `load` fills it in. counterparts: ids int64 [N] of training images to uint8 [N,K,C,H,W], each as it would look in every
    subgroup, where the data are made to order.
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
    origin: Origin | None = None
    counterparts: Callable[[Tensor], Tensor] | None = None

    @property
    def kind(self) -> TargetKind:
        """What its labels say: one class per image, or several labels."""
        return self.train.kind

    def name_of(self, number: int) -> str:
        """What the image with this id is called within the data, such as its file's path; "" where images have no names."""
        names = () if self.origin is None else self.origin.names
        return names[number] if number < len(names) else ""

    def called(self, number: int) -> str:
        """The image with this id, for people: `id 12, train/cat/7.png`."""
        name = self.name_of(number)
        return f"id {number}, {name}" if name else f"id {number}"


@door
def load(
    data: str,
    *,
    data_dir: str | None = None,
    validation: float = 0.1,
    image_size: ImageSize = None,
    resize: Resize = "cover",
    stream: Stream = "auto",
    intensity_range: str = AUTO,
    like: Preparation | None = None,
    cache: str | None = None,
) -> Dataset:
    """The data set that `data` names: a registered name, a folder, a CSV manifest, or `READER:PLACE`
    with a registered reader, as `hf:owner/name` (docs/data.md).

    data_dir: where a named data set is or is downloaded to. validation: the fraction in (0, 1) that is cut from the training
    part where the data bring no validation part beside a test part; the cut is stratified and always the same.
    image_size: what images are brought to, a side or (rows, columns), in pixels; by default images of one size stay as they
    are, and others get the shorter side of the training part's most common size. resize: how, see `resize.fit`.
    stream: whether files stay files, decoded while they are used (`augury.train.data.stream`); auto: beyond 8 GiB of pixels.
    Still every file is decoded once, so that the images, mean and deviation are those of data in memory.
    intensity_range: what becomes grey levels 0 to 255 in images of more than 8 bits; `auto` measures the training part.
    like: bring files to exactly this instead, as a trained network needs it (`Dataset.origin` of its training has it).
    cache: the folder where decoded images are kept for the next time (`augury.train.data.decoded_cache`), or `off`.
    Raises InputError for data that are not there or not as they should be, RunError where a download fails.
    """
    if not 0 < validation < 1:
        raise InputError(f"--validation: {validation:g} must lie between 0 and 1, for example 0.1")
    size = size_of(image_size)
    parse_range(intensity_range)
    found = _read(str(data), ReadOptions(image_size, stream, intensity_range, like, resize, data_dir, DecodedCache.of(cache)))
    made = identified(found) if isinstance(found, Dataset) else assemble(str(data), found, validation)
    if size is not None and isinstance(found, Dataset):
        made = _resized(made, size, resize)
    if stream == "yes" and isinstance(made.train.images, Tensor):
        made = replace(made, notes=(*made.notes, "--stream yes: these data are arrays, held in memory"))
    return made


def assemble(name: str, parts: Parts, fraction: float) -> Dataset:
    """A data set from the parts that were read: checks the classes, cuts validation, numbers the images, takes mean and std."""
    _check_classes(name, parts)
    if parts.group_names and parts.train.labels.ndim == 2:
        raise InputError(f"{name}: has groups and several labels per image, and groups are of one class; remove the groups")
    numbers = torch.arange(len(parts.train))
    train, held, notes = parts.train, parts.validation, list(parts.notes)
    origin = _origin(parts)
    notes += repetition_note(origin.fingerprint)
    start = len(parts.train)
    if held is None:
        strata = TargetKind.of(train.labels).strata(train.labels)
        kept, chosen = cut(strata, fraction, train.groups)
        if len(chosen) == 0:
            raise InputError(f"{name}: no class has two training images, so none is left for validation; add images")
        alone = int((torch.bincount(strata) == 1).sum()) if train.labels.ndim == 1 else 0
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
        name, parts.classes, _split(train, numbers), validation, test, mean, std, parts.group_names, tuple(notes), retrieval,
        origin,
    )  # fmt: skip


def statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of uint8 [N,C,H,W], in [0, 1].

    Exact, from whole-number sums, which images that stay in their files bring along. The deviation is at least 1/255 (one grey
    level), so that normalising constant images divides by no zero.
    """
    pixels = len(images) * images.shape[-2] * images.shape[-1]
    means, stds = [], []
    for total, squares in _channel_sums(images):
        variance = (pixels * squares - total * total) / pixels**2
        means.append(total / (255 * pixels))
        stds.append(max(variance**0.5, 1.0) / 255)
    return tuple(means), tuple(stds)


def _channel_sums(images: Any) -> list[tuple[int, int]]:
    """Sum and sum of squares per channel."""
    if isinstance(images, FileImages) and images.sums is not None:
        return [(int(total), int(squares)) for total, squares in images.sums.sum(0).tolist()]
    counts = torch.zeros(images.shape[1], 256, dtype=torch.int64)
    for chunk in images.split(4096):
        for channel in range(images.shape[1]):
            counts[channel] += torch.bincount(chunk[:, channel].flatten().cpu(), minlength=256)
    levels = torch.arange(256)
    return [(int((row * levels).sum()), int((row * levels * levels).sum())) for row in counts]


def _origin(parts: Parts) -> Origin:
    """Where parts came from; what came as arrays is identified by its values."""
    named = {"train": parts.train, "validation": parts.validation, "test": parts.test}
    given = {name: part for name, part in named.items() if part is not None}
    given |= dict(zip(("query", "gallery"), parts.retrieval or (), strict=False))
    names = tuple(name for part in given.values() for name in part.names)
    if len(names) != sum(map(len, given.values())):
        names = ()
    marks = {name: part.marks or (mark_arrays(name, _arrays(part)),) for name, part in given.items() if part.marks or name in named}
    place = None if parts.place is None else str(parts.place)
    return Origin(place, names, Fingerprint(marks), parts.preparation)


def identified(dataset: Dataset) -> Dataset:
    """The data set with an origin: its own, or the fingerprint of its arrays where it was made by hand."""
    if dataset.origin is not None:
        return dataset
    parts = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    fingerprint = Fingerprint({name: (mark_arrays(name, _arrays(split)),) for name, split in parts.items()})
    return replace(dataset, origin=Origin(None, (), fingerprint))


def _arrays(part: Part | Split) -> tuple[Tensor | None, ...]:
    return part.images, part.labels, part.groups


def _read(data: str, options: ReadOptions) -> Dataset | Parts:
    if registry.has("dataset", data):
        function = registry.get("dataset", data)
        offered: dict[str, Any] = {"data_dir": options.data_dir, "image_size": options.image_size, "resize": options.resize,
                                   "cache": options.cache}  # fmt: skip
        return function(**{key: value for key, value in offered.items() if key in inspect.signature(function).parameters})
    from augury.train.data.source import read

    return read(data, options)


def _split(part: Part, ids: Tensor) -> Split:
    return Split(part.images, part.labels, ids, part.groups)


def _resized(dataset: Dataset, size: Size, how: Resize) -> Dataset:
    """A ready-made data set with its images brought to a size."""

    def of(split: Split) -> Split:
        return replace(split, images=fit_tensor(split.images, size, how))

    train = of(dataset.train)
    mean, std = statistics(train.images)
    return replace(dataset, train=train, validation=of(dataset.validation), test=of(dataset.test), mean=mean, std=std)


def _check_classes(name: str, parts: Parts) -> None:
    """At least two classes; every class has training images; no part is empty."""
    if len(parts.test) == 0:
        raise InputError(f"{name}: the test part has no images; add some")
    if len(parts.classes) < 2:
        raise InputError(f"{name}: has the single class {few(parts.classes)}; a classifier needs two or more")
    counts = TargetKind.of(parts.train.labels).counts(parts.train.labels, len(parts.classes))
    empty = [parts.classes[i] for i in (counts == 0).nonzero()[:, 0].tolist()]
    if empty:
        raise InputError(f"{name}: no training image of class {few(empty)}; add some to the training part, or remove the class")
