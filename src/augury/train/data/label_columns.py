"""Labels in tables: a class, several names separated by `|`, or a column of 0 and 1 per class."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from augury.core.errors import InputError
from augury.core.target_kind import SEPARATOR
from augury.train.data.words import one_form

# The label of an image as readers hold it: the index of its class, or the indices of its classes.
Label = int | tuple[int, ...]
_THERE = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}


def is_mark(value: object) -> bool:
    """Whether a table's value marks a class as present or absent: 0, 1, false, true or empty."""
    return value is None or str(value).strip().lower() in ("", *_THERE)


def class_columns(names: Sequence[str], first: Sequence[object], known: Sequence[str]) -> list[str]:
    """The columns that hold 0 or 1 for one class each, in a table without a label column: all that are not `known`, if there are
    at least two and the first row holds only marks in them; otherwise none."""
    found = [(name, value) for name, value in zip(names, first, strict=False) if name.lower() not in known]
    return [name for name, _ in found] if len(found) > 1 and all(is_mark(value) for _, value in found) else []


def marked(where: str, columns: Sequence[str], values: Sequence[object]) -> tuple[str, ...]:
    """The columns of a row that hold 1. InputError for an empty value and for anything but 0 and 1."""
    names = []
    for column, value in zip(columns, values, strict=True):
        text = "" if value is None else str(value).strip().lower()
        if text not in _THERE:
            said = f"is {str(value).strip()!r}" if text else "is empty"
            raise InputError(
                f"{where}: the column {column!r} {said}; without a label column, all other columns are classes and hold 0 or 1"
            )
        if _THERE[text]:
            names.append(one_form(column))
    return tuple(names)


def parted(where: str, text: str) -> tuple[str, ...]:
    """The names in `dog|ball`; none if the text is empty. InputError for an empty or repeated name."""
    names = tuple(one_form(name.strip()) for name in text.split(SEPARATOR)) if text.strip() else ()
    for name in names:
        if not name:
            raise InputError(f"{where}: labels {text!r} holds an empty name; separate names by one {SEPARATOR}")
        if names.count(name) > 1:
            raise InputError(f"{where}: labels {text!r} holds {name!r} twice; name every label once")
    return names


def rarest(labels: Sequence[Sequence[str]]) -> list[str]:
    """The strata of images: the rarest of an image's classes, or an empty text if it has none."""
    counts = Counter(name for each in labels for name in each)
    return [min(each, key=lambda name: (counts[name], name), default="") for each in labels]


def one_each(labels: Sequence[Sequence[Any]]) -> bool:
    """Whether every image has exactly one label, so that the labels are classes."""
    return all(len(each) == 1 for each in labels)


ONE_EACH = "every image has exactly one label, so labels are treated as classes, one per image"


def tensor_of(labels: Sequence[Label], classes: int) -> Tensor:
    """int64 [N], or bool [N, classes] if images may have several labels."""
    if not any(isinstance(label, tuple) for label in labels):
        return torch.tensor(labels, dtype=torch.int64)
    found = torch.zeros(len(labels), classes, dtype=torch.bool)
    for row, label in enumerate(labels):
        found[row, list(label) if isinstance(label, tuple) else [label]] = True
    return found


def text_of(label: Label, classes: Sequence[str]) -> str:
    """A label as text, also for fingerprints: the class, the classes separated by `|`, or `none`."""
    return classes[label] if isinstance(label, int) else SEPARATOR.join(classes[k] for k in sorted(label)) or "none"
