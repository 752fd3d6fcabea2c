"""Decodes labelled files, part by part; shared by folders, manifests and hub data sets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from augury.core.errors import InputError
from augury.core.target_kind import TargetKind
from augury.train.data.decode import decode
from augury.train.data.fingerprint import FileMark
from augury.train.data.image import Source
from augury.train.data.label_columns import Label, tensor_of, text_of
from augury.train.data.parts import Part, Parts
from augury.train.data.preparation import AS_IS, ReadOptions


@dataclass(frozen=True)
class Item:
    """One file: its source, its name in notes, its class or classes and, if the data have groups, its group.

    file: its path within the data, if that differs from `name`.
    """

    source: Source
    name: str
    label: Label
    group: int = 0
    file: str = ""


def read_items(
    where: str,
    classes: Sequence[str],
    items: Mapping[str, Sequence[Item]],
    *,
    group_names: Sequence[str] = (),
    options: ReadOptions = AS_IS,
    notes: Sequence[str] = (),
) -> Parts:
    """Decodes the parts `train`, `test` and, if present, `validation` together, to one size and number of channels.

    Raises InputError if most files, or all training files of a class, cannot be read.
    """
    order = [name for name in ("train", "validation", "test") if name in items]
    everything = [item for name in order for item in items[name]]
    decoded = decode(
        [item.source for item in everything],
        [item.name for item in everything],
        where,
        options,
        leading=len(items["train"]),
    )
    labels = tensor_of([item.label for item in everything], len(classes))[decoded.rows]
    groups = torch.tensor([item.group for item in everything], dtype=torch.int64)[decoded.rows]
    parts, start = {}, 0
    first_source = 0
    for name in order:
        last_source = first_source + len(items[name])
        stop = start + int(((decoded.rows >= first_source) & (decoded.rows < last_source)).sum())
        found = [everything[row] for row in decoded.rows[start:stop].tolist()]
        marks = tuple(
            FileMark(item.file or item.name, text_of(item.label, classes), *decoded.marks[first_source + number])
            for number, item in enumerate(items[name])
        )
        parts[name] = Part(
            decoded.images[start:stop], labels[start:stop], groups[start:stop] if group_names else None,
            tuple(item.file or item.name for item in found), marks,
        )  # fmt: skip
        start, first_source = stop, last_source
    _refuse_unreadable_classes(where, classes, items["train"], parts["train"])
    return Parts(
        tuple(classes), parts["train"], parts["test"], parts.get("validation"), tuple(group_names), (*notes, *decoded.notes),
        preparation=decoded.preparation,
    )  # fmt: skip


def _refuse_unreadable_classes(where: str, classes: Sequence[str], items: Sequence[Item], part: Part) -> None:
    counts = TargetKind.of(part.labels).counts(part.labels, len(classes)).tolist()
    for item in items:
        lost = [k for k in (item.label if isinstance(item.label, tuple) else (item.label,)) if not counts[k]]
        if lost:
            raise InputError(
                f"{where}: no training file of class {classes[lost[0]]!r} can be read as an image (for example {item.name!r}); "
                "replace them or remove the class"
            )
