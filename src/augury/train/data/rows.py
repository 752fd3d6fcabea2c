"""Makes parts from rows of labelled images in tables and shards; shared by Parquet and WebDataset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from augury.core.errors import InputError
from augury.train.data.files import Item, read_items
from augury.train.data.image import Source
from augury.train.data.label_columns import ONE_EACH, one_each, rarest
from augury.train.data.parts import Parts
from augury.train.data.preparation import ReadOptions
from augury.train.data.splits import TEST_FRACTION, cut_by_name
from augury.train.data.words import count


@dataclass(frozen=True)
class Row:
    """An image, its name, and its labels (names or whole numbers). several: whether images of the data may have several;
    columns: the classes in order, if the data give it."""

    source: Source
    name: str
    labels: tuple[Any, ...]
    several: bool = False
    columns: tuple[str, ...] = ()


def check_labels(where: str, labels: Sequence[Any]) -> None:
    """InputError for missing labels, for floats, which gaps in a column of whole numbers can cause, and for repeated labels."""
    for label in labels:
        if label is None:
            raise InputError(f"{where}: has no label; fill the gap or remove the row")
        if isinstance(label, float):
            raise InputError(f"{where}: label {label:g} is a float, which gaps can cause; store whole numbers or names")
    if len(set(labels)) < len(labels):
        raise InputError(f"{where}: has the label {max(labels, key=list(labels).count)!r} twice; name every label once")


def cut_rows(rows: Sequence[Row], what: str, notes: list[str]) -> dict[str, list[Row]]:
    """Splits off about a fifth of every class as the test part, by a hash of the rows' names; `what` begins the note about it."""
    held = cut_by_name([row.name for row in rows], rarest([list(map(str, row.labels)) for row in rows]), TEST_FRACTION)
    notes.append(f"{what}: {count(sum(held), 'image')} of {len(rows):,} are the test part (about 20 % of every class)")
    pairs = list(zip(rows, held, strict=True))
    return {"train": [row for row, out in pairs if not out], "test": [row for row, out in pairs if out]}


def read_rows(where: str, parts: Mapping[str, Sequence[Row]], notes: Sequence[str], options: ReadOptions) -> Parts:
    """Decodes the rows of `train`, `test` and, if present, `validation`; the classes are those of the training rows."""
    everything = [row for rows in parts.values() for row in rows]
    marked = any(row.several for row in everything)
    several = marked and not one_each([row.labels for row in everything])
    notes = [*notes, ONE_EACH] if marked and not several else notes
    columns = everything[0].columns
    classes = list(columns) if columns else _classes([label for row in parts["train"] for label in row.labels])
    order = {name: number for number, name in enumerate(classes)}
    items = {part: [_item(row, order, several) for row in rows] for part, rows in parts.items()}
    return read_items(where, classes, items, options=options, notes=notes)


def _classes(labels: list[Any]) -> list[str]:
    """Numbers in ascending order, names in alphabetical order."""
    if all(isinstance(label, int) for label in labels):
        return [str(label) for label in sorted(set(labels))]
    return sorted({str(label) for label in labels})


def _item(row: Row, order: dict[str, int], several: bool) -> Item:
    labels = list(map(str, row.labels))
    for label in labels:
        if label not in order:
            raise InputError(f"{row.name}: class {label!r} has no training image; add some or remove it")
    numbers = tuple(order[label] for label in labels)
    return Item(row.source, row.name, numbers if several else numbers[0])
