"""Labels in tables: a class, several names with `|` between them, or a column of 0 and 1 for every class."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from augury.core.errors import InputError
from augury.core.target_kind import SEPARATOR
from augury.train.data.words import one_form

# One image's label as readers hold it: a class's number, or the numbers of the classes that are there.
Label = int | tuple[int, ...]
_THERE = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}


def is_mark(value: object) -> bool:
    """Whether a table's value says that a class is there or not: 0, 1 or nothing."""
    return value is None or str(value).strip().lower() in ("", *_THERE)


def class_columns(names: Sequence[str], first: Sequence[object], known: Sequence[str]) -> list[str]:
    """The columns of a table without a column of labels that hold 0 or 1 for a class each: all that are not `known`, if there are
    two at least and the first row holds marks alone; none otherwise."""
    found = [(name, value) for name, value in zip(names, first, strict=False) if name.lower() not in known]
    return [name for name, _ in found] if len(found) > 1 and all(is_mark(value) for _, value in found) else []


def marked(where: str, columns: Sequence[str], values: Sequence[object]) -> tuple[str, ...]:
    """The columns of a row that hold 1. InputError for a gap, and for anything but 0 and 1."""
    names = []
    for column, value in zip(columns, values, strict=True):
        text = "" if value is None else str(value).strip().lower()
        if text not in _THERE:
            said = f"is {str(value).strip()!r}" if text else "is empty"
            raise InputError(
                f"{where}: the column {column!r} {said}; without a column of labels every other column is a class and holds 0 or 1"
            )
        if _THERE[text]:
            names.append(one_form(column))
    return tuple(names)


def parted(where: str, text: str) -> tuple[str, ...]:
    """The names in `dog|ball`; none in an empty text. InputError for an empty name and for one that is there twice."""
    names = tuple(one_form(name.strip()) for name in text.split(SEPARATOR)) if text.strip() else ()
    for name in names:
        if not name:
            raise InputError(f"{where}: labels {text!r} holds an empty name; write names with one {SEPARATOR} between them")
        if names.count(name) > 1:
            raise InputError(f"{where}: labels {text!r} holds {name!r} twice; name every label once")
    return names


def rarest(labels: Sequence[Sequence[str]]) -> list[str]:
    """What images are stratified by: the rarest of their classes; an empty text where an image has none."""
    counts = Counter(name for each in labels for name in each)
    return [min(each, key=lambda name: (counts[name], name), default="") for each in labels]


def one_each(labels: Sequence[Sequence[Any]]) -> bool:
    """Whether every image has exactly one of several labels, so that they are classes."""
    return all(len(each) == 1 for each in labels)


ONE_EACH = "every image has exactly one label, so that labels are taken as classes, one per image"


def tensor_of(labels: Sequence[Label], classes: int) -> Tensor:
    """int64 [N], or of several labels per image bool [N, classes]."""
    if not any(isinstance(label, tuple) for label in labels):
        return torch.tensor(labels, dtype=torch.int64)
    found = torch.zeros(len(labels), classes, dtype=torch.bool)
    for row, label in enumerate(labels):
        found[row, list(label) if isinstance(label, tuple) else [label]] = True
    return found


def text_of(label: Label, classes: Sequence[str]) -> str:
    """A label for people and for fingerprints: the class, the classes with `|` between them, or `none`."""
    return classes[label] if isinstance(label, int) else SEPARATOR.join(classes[k] for k in sorted(label)) or "none"
