"""Data sets: images, labels and splits, from a name, a folder, arrays or a manifest."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from augury.core import registry
from augury.core.devices import on_the_cpu_by_default
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
    """images uint8 [N,C,H,W], labels int64 [N] (bool [N, classes] if an image may have several), ids int64 [N], groups int64
    [N]."""

    images: Tensor
    labels: Tensor
    ids: Tensor
    groups: Tensor | None = None

    @property
    def kind(self) -> TargetKind:
        """The kind of its labels."""
        return TargetKind.of(self.labels)

    @property
    def strata(self) -> Tensor:
        """int64 [N]: the stratum of each image, for stratified subsets."""
        return self.kind.strata(self.labels)

    def __getitem__(self, rows: Tensor) -> "Split":
        """The given rows, int64 [n] or bool [N]; images in files are decoded."""
        return self._with(self.images[rows], rows)

    def chosen(self, rows: Tensor) -> "Split":
        """The given rows; images in files are not decoded."""
        return self._with(picked(self.images, rows), rows)

    def _with(self, images: Tensor, rows: Tensor) -> "Split":
        return Split(images, self.labels[rows], self.ids[rows], None if self.groups is None else self.groups[rows])


@dataclass(frozen=True)
class Retrieval:
    """Query and gallery images of re-identification: labels are identities (-1: junk, 0: distractor), groups are cameras."""

    query: Split
    gallery: Split


@dataclass(frozen=True)
class Origin:
    """Where a data set came from. place: absolute path of its folder or file, None if it has none. names: by image id.

    fingerprint: of the parts as read, before validation is split off. preparation: how files were converted; None for uint8 arrays.
    """

    place: str | None
    names: tuple[str, ...]
    fingerprint: Fingerprint
    preparation: Preparation | None = None


@dataclass(frozen=True)
class Dataset:
    """Train, validation and test parts; mean and std per channel of the training part, in [0, 1].

    `ids` number the images of the data set and are unique across its parts. `group_names` name the numbers in `Split.groups`, if
    the data have groups. Each of the `notes` says in one line what was converted, skipped or cut. retrieval: queries and gallery of
    re-identification data. origin: where the data came from, and their fingerprint; set by `load`. counterparts: for synthetic
    data, maps ids int64 [N] of training images to uint8 [N,K,C,H,W], each image as it would look in every subgroup.
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
        """The kind of its labels: one class per image, or several labels."""
        return self.train.kind

    def name_of(self, number: int) -> str:
        """The name of the image with this id within the data, such as its file's path; "" if images have no names."""
        names = () if self.origin is None else self.origin.names
        return names[number] if number < len(names) else ""

    def called(self, number: int) -> str:
        """The image with this id, for messages: `id 12, train/cat/7.png`."""
        name = self.name_of(number)
        return f"id {number}, {name}" if name else f"id {number}"


@on_the_cpu_by_default
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
    """Loads the data set that `data` names: a registered name, a folder, a CSV manifest, or `READER:PLACE` with a registered
    reader, such as `hf:owner/name` (docs/data.md).

    data_dir: the folder that holds a named data set or that it is downloaded to. validation: the fraction in (0, 1) of the training
    part that becomes the validation part, unless the data have both a validation and a test part; the cut is stratified and always
    the same.
    image_size: the size that images are resized to, a side or (rows, columns), in pixels; by default, arrays get the size of the
    training part and files that of `default_side.default_size`. resize: the method, see `resize.fit`.
    stream: whether files are decoded on demand instead of held in memory (`augury.train.data.stream`); auto: if they have more than
    8 GiB of pixels. Every file is still decoded once, so that the images, mean and deviation equal those of data in memory.
    intensity_range: the values that become grey levels 0 to 255 in images of more than 8 bits; `auto` measures the training part.
    like: convert files in exactly this way instead, as a trained network needs (from the `Dataset.origin` of its training).
    cache: the folder in which decoded images are kept for later calls (`augury.train.data.decoded_cache`), or `off`.
    Raises InputError if data are missing or malformed, RunError if a download fails.
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
    """Makes a data set from parts: checks the classes, splits off validation, numbers the images, computes mean and std."""
    _check_classes(name, parts)
    if parts.group_names and parts.train.labels.ndim == 2:
        raise InputError(f"{name}: has groups and several labels per image, but groups need one class per image; remove the groups")
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

    Exact, from integer sums, which streamed images bring along. The deviation is at least 1/255 (one grey level), so that
    normalising constant images does not divide by zero.
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
    """The origin of parts; a part that came as arrays is identified by their values."""
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
    """The data set with an origin: its own, or else the fingerprint of its arrays."""
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
    """A data set with its images resized."""

    def of(split: Split) -> Split:
        return replace(split, images=fit_tensor(split.images, size, how))

    train = of(dataset.train)
    mean, std = statistics(train.images)
    return replace(dataset, train=train, validation=of(dataset.validation), test=of(dataset.test), mean=mean, std=std)


def _check_classes(name: str, parts: Parts) -> None:
    """Checks that there are at least two classes, that each has training images, and that the test part is not empty."""
    if len(parts.test) == 0:
        raise InputError(f"{name}: the test part has no images; add some")
    if len(parts.classes) < 2:
        raise InputError(f"{name}: has the single class {few(parts.classes)}; a classifier needs two or more")
    counts = TargetKind.of(parts.train.labels).counts(parts.train.labels, len(parts.classes))
    empty = [parts.classes[i] for i in (counts == 0).nonzero()[:, 0].tolist()]
    if empty:
        raise InputError(f"{name}: no training image of class {few(empty)}; add some to the training part, or remove the class")
