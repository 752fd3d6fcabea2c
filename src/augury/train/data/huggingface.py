"""Image data sets of the Hugging Face hub, read with the optional package `datasets`; code in a data set is never run."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from augury.core.errors import InputError, RunError
from augury.core.registry import register
from augury.train.data.files import Item, read_items
from augury.train.data.image import Source
from augury.train.data.parts import Parts
from augury.train.data.preparation import AS_IS, ReadOptions
from augury.train.data.reader import Reader
from augury.train.data.words import few

_LABELS = ("label", "labels", "fine_label", "class", "target")
_HELD = ("validation", "val", "valid", "dev")


@register("reader", "hf", source="the Hugging Face hub")
def hf() -> Reader:
    """A data set of the Hugging Face hub, owner/name or owner/name:CONFIGURATION; needs the package datasets."""
    return Reader(read_hub)


def read_hub(place: str, options: ReadOptions = AS_IS) -> Parts:
    """Reads `owner/name` or `owner/name:CONFIGURATION`, downloaded into `options.data_dir` or the package's own cache.

    The image column is the one of type Image (of several, the one called image). The label column is the one of type ClassLabel, or
    else one with a name of `_LABELS` that holds numbers or names (of several, the first in that order). A split whose labels are
    all -1 counts as missing. Raises InputError if `datasets` is not installed or if columns or splits cannot be determined,
    RunError if the data cannot be loaded.
    """
    data = f"hf:{place}"
    package = _datasets(data)
    loaded = _load(package, data, options.data_dir)
    splits = {name: split for name, split in loaded.items() if len(split)}
    if "train" not in splits:
        raise InputError(f"DATA {data}: has no split 'train' but {few(sorted(loaded))}; choose another data set")
    image, label = _columns(data, splits["train"].features)
    splits = {name: split for name, split in splits.items() if name == "train" or _is_labelled(split, label)}
    parts, notes = _parts(data, splits)
    names = _names(data, splits["train"], label)
    numbers = {name: i for i, name in enumerate(names)}
    items = {}
    for part, split_name in parts.items():
        split = splits[split_name].cast_column(image, package.Image(decode=False))
        items[part] = [
            Item(_source(row), f"{split_name}[{i}]", _number(data, split_name, i, value, numbers, split.features[label]))
            for i, (row, value) in enumerate(zip(split[image], split[label], strict=True))
        ]
    return read_items(f"DATA {data}", list(names), items, options=options, notes=notes)


def _datasets(data: str) -> ModuleType:
    try:
        return importlib.import_module("datasets")
    except ImportError:
        raise InputError(f"DATA {data}: needs the package datasets; install it with `pip install 'augury[hf]'`") from None


def _load(package: ModuleType, data: str, data_dir: str | None) -> Mapping[str, Any]:
    name, _, configuration = data.removeprefix("hf:").partition(":")
    if not name or name.count("/") > 1 or name.startswith("/") or name.endswith("/"):
        raise InputError(f"DATA {data!r}: write hf:owner/name")
    options: dict[str, Any] = {"cache_dir": data_dir} if data_dir is not None else {}
    if int(package.__version__.split(".")[0]) < 4:
        options["trust_remote_code"] = False  # version 4 removed remote code and this option
    try:
        return package.load_dataset(name, configuration or None, **options)
    except Exception as error:  # errors of the hub, httpx, pyarrow and fsspec share no other base class
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        remedy = "write hf:owner/name:CONFIGURATION" if "onfig" in reason else "check the name and the connection"
        raise RunError(f"DATA {data}: could not be loaded ({reason}); {remedy}") from error


def _columns(data: str, features: Mapping[str, object]) -> tuple[str, str]:
    kinds = {name: type(feature).__name__ for name, feature in features.items()}
    images = [name for name, kind in kinds.items() if kind == "Image"]
    labels = [name for name, kind in kinds.items() if kind == "ClassLabel"] or [
        name for name in _LABELS if kinds.get(name) == "Value" and _is_plain(features[name])
    ]
    if not images:
        raise InputError(f"DATA {data}: no column holds images (columns: {few(sorted(kinds), 6)}); choose another data set")
    if not labels:
        raise InputError(f"DATA {data}: no column holds class labels (columns: {few(sorted(kinds), 6)}); choose another data set")
    image = images[0] if len(images) == 1 else "image" if "image" in images else ""
    label = labels[0] if len(labels) == 1 else next((name for name in _LABELS if name in labels), "")
    for chosen, found in ((image, images), (label, labels)):
        if not chosen:
            raise InputError(f"DATA {data}: cannot tell which of the columns {few(found, 6)} to use; export it as a CSV manifest")
    return image, label


def _is_plain(feature: Any) -> bool:
    return str(feature.dtype).startswith(("int", "uint", "string", "large_string"))


def _is_labelled(split: Any, label: str) -> bool:
    return any(value not in (-1, None) for value in split[label])


def _parts(data: str, splits: Mapping[str, object]) -> tuple[dict[str, str], list[str]]:
    held = next((name for name in _HELD if name in splits), None)
    if "test" in splits:
        return {"train": "train", "test": "test"} | ({"validation": held} if held else {}), []
    if held:
        note = f"the split {held} is the test part, since there is no labelled split test; the validation part is cut from train"
        return {"train": "train", "test": held}, [note]
    raise InputError(
        f"DATA {data}: has neither a labelled split 'test' nor 'validation'; export it as a CSV manifest without split"
    )


def _names(data: str, train: Any, label: str) -> tuple[Any, ...]:
    stored = getattr(train.features[label], "names", None)
    return tuple(stored) if stored else tuple(map(str, sorted({value for value in train[label] if value is not None})))


def _number(data: str, split: str, row: int, value: object, numbers: Mapping[str, int], feature: object) -> int:
    stored = getattr(feature, "names", None)
    if stored and isinstance(value, int) and 0 <= value < len(stored):
        return value
    if not stored and value is not None and str(value) in numbers:
        return numbers[str(value)]
    raise InputError(f"DATA {data}: {split}[{row}] has the label {value!r}, which no training image has; choose another data set")


def _source(row: Mapping[str, Any] | None) -> Source:
    """The bytes of an image, or its path; empty bytes if the row is empty, which decoding counts as unreadable."""
    if not row:
        return b""
    return row["bytes"] if row.get("bytes") is not None else Path(row.get("path") or "")
