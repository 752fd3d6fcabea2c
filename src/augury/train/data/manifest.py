"""A CSV manifest: one line per image with path and label, and optionally group and split."""

import csv
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import TextIOWrapper
from pathlib import Path

from augury.core.errors import InputError
from augury.core.files import kind_of, open_regular
from augury.core.registry import register
from augury.core.target_kind import SEPARATOR
from augury.train.data.files import Item, read_items
from augury.train.data.label_columns import ONE_EACH, class_columns, marked, one_each, parted, rarest
from augury.train.data.parts import Parts
from augury.train.data.preparation import AS_IS, ReadOptions
from augury.train.data.reader import Reader, of_path
from augury.train.data.splits import TEST_FRACTION, cut_by_name
from augury.train.data.words import count, forms_note, nearest, one_form

COLUMNS = ("path", "label", "group", "split")
SPLITS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
# Other names of the two columns, as in tables of competitions; if several are present, the first of the list is used.
_PATHS = ("path", "image_id", "image", "file", "filename", "file_name", "image_path", "id_code", "img")
_LABELS = ("label", "class", "target", "category", "labels", "diagnosis")
# Folders to search for images that are not beside the table, and endings to try for names without one.
_PLACES = (".", "images", "train_images", "train", "img", "jpeg", "data")
_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".JPG", ".JPEG", ".PNG")


@dataclass(frozen=True)
class Line:
    """One checked line of the manifest; `number` is its line in the file, from 1, and `name` the path as written there.

    label: in Unicode's composed form; written: as in the file. labels: the names, if the table has several per image; columns:
    those of 0 and 1, if there is one per class.
    """

    number: int
    path: Path
    name: str
    label: str
    written: str
    group: str
    split: str
    labels: tuple[str, ...] | None = None
    columns: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The classes of the image."""
        return (self.label,) if self.labels is None else self.labels


@dataclass(frozen=True)
class _Header:
    """names: of the columns, with the usual names of path and label. plural: whether there is a column `labels`. classes: the
    columns of 0 and 1."""

    names: list[str]
    plural: bool = False
    classes: tuple[str, ...] = ()


@register("reader", "manifest", source="RFC 4180, comma-separated values")
def manifest() -> Reader:
    """A CSV file with one line per image: path, label or labels, and optionally group and split."""
    return Reader(of_path(read_manifest), lambda path: path.is_file() and path.suffix.lower() == ".csv")


def read_manifest(file: Path, options: ReadOptions = AS_IS) -> Parts:
    """Reads the parts that a CSV names; paths are relative to it, and classes are the labels sorted by name. Images may have
    several labels: `dog|ball` in a column called `labels`, or a column of 0 and 1 per class, which then gives the order of the
    classes.

    Without a column `split`, about a fifth of every class is the test part (`cut_by_name`). Raises InputError naming the line for
    missing or repeated files, missing values, unknown splits and labels without training images.
    """
    lines = read_lines(file)
    several = lines[0].labels is not None and not one_each([line.labels or () for line in lines])
    parts, notes = _parts(file, lines)
    notes += forms_note(line.written for line in lines)
    if lines[0].labels is not None and not several:
        notes.append(ONE_EACH)
    classes = sorted({name for line in parts["train"] for name in line.names})
    if lines[0].columns:
        classes = [one_form(name) for name in lines[0].columns]
    known = set(classes)
    for part in ("validation", "test"):
        for line in parts.get(part, ()):
            for name in line.names:
                if name not in known:
                    raise InputError(
                        f"{file} line {line.number}: class {name!r} is only in the {part} part{nearest(name, classes)}; "
                        "add training images of it or remove it"
                    )
    group_names = sorted({line.group for line in lines} - {""})
    labels = {name: i for i, name in enumerate(classes)}
    groups = {name: i for i, name in enumerate(group_names)}
    items = {name: [_item(line, labels, groups, several) for line in part] for name, part in parts.items()}
    return read_items(str(file), classes, items, group_names=group_names, options=options, notes=notes)


def read_lines(file: Path) -> list[Line]:
    """The checked lines of a manifest, at least one; InputError names the line that is wrong."""
    lines = list(_lines(file))
    if not lines:
        raise InputError(f"{file}: names no images; add lines below the header")
    _refuse_repeated(file, lines)
    if any(line.labels is not None and len(line.labels) > 1 for line in lines) or lines[0].columns:
        return lines
    for line in lines:
        if not line.label:
            raise InputError(f"{file} line {line.number}: label is empty; fill it in or remove the line")
    return [replace(line, labels=None) for line in lines]


def _lines(file: Path) -> Iterator[Line]:
    try:
        with open_regular(file) as opened, TextIOWrapper(opened, encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            written = [name.strip() for name in next(reader, [])]
            header: _Header | None = None
            for fields in reader:
                if any(field.strip() for field in fields):
                    header = header or _header(file, written, fields)
                    yield _line(file, reader.line_num, header, fields)
            if header is None:
                _header(file, written, ())
    except UnicodeDecodeError:
        raise InputError(f"{file}: is not UTF-8 text; save it as CSV in UTF-8") from None
    except csv.Error as error:
        raise InputError(f"{file} line {reader.line_num}: is not CSV ({error}); quote fields that hold commas or quotes") from None


def _header(file: Path, written: list[str], first: Sequence[str]) -> _Header:
    """The columns, recognised by their names and by the first row."""
    names = [name.lower() for name in written]
    if len(names) == 1 and any(mark in names[0] for mark in ";\t|"):
        raise InputError(f"{file} line 1: separate the columns by commas: path,label,group,split")
    plural = "labels" in names and "label" not in names
    names = _usual(names)
    classes = [] if "label" in names else class_columns(written, first, (*COLUMNS, *_PATHS))
    for name in ("path", "label"):
        if name not in names and not (name == "label" and classes):
            raise InputError(
                f"{file} line 1: has no column {name!r}{nearest(name, [n for n in names if n not in COLUMNS])}; "
                "the header is path,label,group,split (the last two optional)"
            )
    if len(set(classes)) < len(classes):
        twice = next(name for name in classes if classes.count(name) > 1)
        raise InputError(f"{file} line 1: the column {twice!r} occurs twice; remove one")
    for name in names:
        if name in COLUMNS and names.count(name) > 1:
            raise InputError(f"{file} line 1: the column {name!r} occurs twice; remove one")
        for known in ("group", "split"):
            if not classes and known not in names and nearest(name, [known]) and name not in COLUMNS:
                raise InputError(f"{file} line 1: unknown column {name!r}; did you mean {known!r}?")
    names = [own if own in classes else name for own, name in zip(written, names, strict=True)]
    return _Header(names, plural, tuple(classes))


def _usual(names: list[str]) -> list[str]:
    """The header with its columns of paths and labels renamed to `path` and `label`."""
    for usual, known in (("path", _PATHS), ("label", _LABELS)):
        found = next((name for name in known if name in names), None)
        if found is not None and usual not in names:
            names = [usual if name == found else name for name in names]
    return names


def _found(file: Path, name: str) -> Path:
    """The image of that name: beside the table or in a folder of images there; the name may lack its ending."""
    beside = file.parent / name
    if beside.exists():
        return beside
    for place in _PLACES:
        for ending in ("", *_ENDINGS):
            if (candidate := file.parent / place / f"{name}{ending}").is_file():
                return candidate
    return beside


def _line(file: Path, number: int, header: _Header, fields: list[str]) -> Line:
    where = f"{file} line {number}"
    if len(fields) != len(header.names):
        raise InputError(
            f"{where}: has {count(len(fields), 'field')}, but the header has {len(header.names)}; quote fields that hold commas"
        )
    values = {name: value.strip() for name, value in zip(header.names, fields, strict=True)}
    for name in COLUMNS:
        if name in values and not values[name] and not (name == "label" and header.plural):
            raise InputError(f"{where}: {name} is empty; fill it in or remove the line")
    split = values.get("split", "").lower()
    if split and split not in SPLITS:
        raise InputError(f"{where}: unknown split {values['split']!r}{nearest(split, SPLITS)}; use train, val or test")
    path = _found(file, values["path"])
    try:
        kind = kind_of(path.stat().st_mode)
    except (OSError, ValueError):
        raise InputError(f"{where}: {values['path']!r} does not exist; paths are relative to {file.parent}") from None
    if kind:
        raise InputError(f"{where}: {values['path']!r} is {kind}; name a file, relative to {file.parent}")
    labels: tuple[str, ...] | None
    if header.classes:
        there = marked(where, header.classes, [values[name] for name in header.classes])
        labels, label = there, SEPARATOR.join(there)
    else:
        label = values["label"]
        labels = parted(where, label) if header.plural else None
    if re.fullmatch(r"-?\d+\.\d*", label):
        raise InputError(f"{where}: label {label} is a float, which gaps in the column can cause; write whole numbers or names")
    return Line(
        number, path, values["path"], one_form(label), label, values.get("group", ""), SPLITS.get(split, ""), labels,
        header.classes,
    )  # fmt: skip


def _refuse_repeated(file: Path, lines: list[Line]) -> None:
    """A file on two lines could be in both the training and the test part."""
    first: dict[str, int] = {}
    for line in lines:
        path = os.path.abspath(line.path)
        if path in first:
            raise InputError(f"{file} line {line.number}: {line.path.name!r} is already on line {first[path]}; remove one of them")
        first[path] = line.number


def _parts(file: Path, lines: list[Line]) -> tuple[dict[str, list[Line]], list[str]]:
    if not lines[0].split:
        return _cut_test(file, lines)
    parts = {name: [line for line in lines if line.split == name] for name in ("train", "validation", "test")}
    if not parts["train"]:
        raise InputError(f"{file}: no line has the split train; name the training images")
    if not parts["test"]:
        if not parts["validation"]:
            raise InputError(
                f"{file}: no line has the split test; name test images, or leave out the column split to have a test part cut"
            )
        note = "the split val is the test part, since no line has the split test; the validation part is cut from train"
        return {"train": parts["train"], "test": parts["validation"]}, [note]
    return {name: part for name, part in parts.items() if part}, []


def _cut_test(file: Path, lines: list[Line]) -> tuple[dict[str, list[Line]], list[str]]:
    held = cut_by_name([_as_address(line.name) for line in lines], rarest([line.names for line in lines]), TEST_FRACTION)
    if not any(held):
        raise InputError(f"{file}: no class has two images, so none is left for a test part; add images or a column split")
    note = (
        f"the manifest has no column split: {count(sum(held), 'image')} of {len(lines):,} are the test part (about 20 % of every "
        "class, chosen by their paths, always the same)"
    )
    parts: dict[str, list[Line]] = {"train": [], "test": []}
    for line, is_held in zip(lines, held, strict=True):
        parts["test" if is_held else "train"].append(line)
    return parts, [note]


def _as_address(name: str) -> str:
    """A path as written in the manifest, normalised."""
    return one_form(os.path.normpath(name).replace(os.sep, "/"))


def _item(line: Line, labels: dict[str, int], groups: dict[str, int], several: bool) -> Item:
    numbers = tuple(labels[name] for name in line.names)
    label = numbers if several else numbers[0]
    return Item(line.path, f"{line.path.name} (line {line.number})", label, groups.get(line.group, 0), line.name)
