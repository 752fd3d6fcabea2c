"""Parquet: one table, or a folder of train*.parquet and test*.parquet, with the images' bytes or paths in a column."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from augury.core.errors import InputError
from augury.core.registry import register
from augury.core.target_kind import SEPARATOR
from augury.train.data.label_columns import class_columns, marked, parted
from augury.train.data.parts import Parts
from augury.train.data.preparation import AS_IS, ReadOptions
from augury.train.data.reader import Reader, of_path
from augury.train.data.rows import Row, check_labels, cut_rows, read_rows
from augury.train.data.words import few, one_form

_IMAGES = ("image", "img", "images", "jpg", "png", "bytes", "path", "file_name", "image_path")
_LABELS = ("label", "labels", "class", "target", "category", "fine_label")
_PARTS = {"train": "train", "test": "test", "val": "validation", "valid": "validation", "validation": "validation"}


@register("reader", "parquet", source="parquet.apache.org")
def parquet() -> Reader:
    """A .parquet table with a column of images (bytes, or paths) and one of labels; or a folder with tables for each part."""
    return Reader(
        of_path(read_parquet),
        lambda path: path.suffix.lower() == ".parquet" if path.is_file() else path.is_dir() and any(path.glob("train*.parquet")),
    )


def read_parquet(path: Path, options: ReadOptions = AS_IS) -> Parts:
    """Reads the parts of a table, or of a folder of tables. An image may have several labels: a list of them, `dog|ball` in a
    column called `labels`, or a column of 0 and 1 per class. The parts of a single table are those of its column `split`;
    without it, about a fifth of every class is the test part. Raises InputError naming the table and the row that is wrong."""
    notes: list[str] = []
    if path.is_file():
        found = list(_rows(path))
        rows = [row for row, _ in found]
        splits = {split for _, split in found if split is not None}
        parts = {_PARTS[name]: [row for row, split in found if split == name] for name in splits}
        parts = parts or cut_rows(rows, f"{path.name} has no column split", notes)
    else:
        parts = dict[str, list[Row]]()
        for name, part in _PARTS.items():
            for file in sorted(path.glob(f"{name}*.parquet")) if part not in parts or name == "validation" else []:
                parts.setdefault(part, []).extend(row for row, _ in _rows(file))
        if "test" not in parts and "validation" in parts:
            parts["test"] = parts.pop("validation")
            notes.append(
                "the validation tables are the test part, since there are no others; validation is cut from the training part"
            )
    if not parts.get("train") or not parts.get("test"):
        missing = "train" if not parts.get("train") else "test"
        raise InputError(f"DATA {path}: has no rows of the {missing} part; add some, or give one table without a column split")
    return read_rows(f"DATA {path}", parts, notes, options)


def _rows(file: Path) -> Iterator[tuple[Row, str | None]]:
    """Yields each checked row and its split."""
    try:
        import pyarrow
        from pyarrow import parquet as library
    except ImportError:
        raise InputError(f"DATA {file}: needs the package pyarrow; pip install 'augury[hf]'") from None
    try:
        table = library.read_table(file)
    except (pyarrow.ArrowException, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"DATA {file}: is damaged or not a parquet table ({reason[:150]}); write it again") from None
    names = {name.lower(): name for name in table.column_names}
    image = next((names[name] for name in _IMAGES if name in names), None)
    label = next((names[name] for name in _LABELS if name in names), None)
    rows = table.to_pylist()
    classes: list[str] = []
    if label is None and rows:
        classes = class_columns(table.column_names, list(rows[0].values()), ("split", *_IMAGES))
    for column, what, known in ((image, "images", _IMAGES), (label or (classes or None), "labels", _LABELS)):
        if column is None:
            raise InputError(f"DATA {file}: has no column of {what}; it has {few(table.column_names)}; call one {known[0]!r}")
    split = names.get("split")
    texts = label is not None and label.lower() == "labels" and any(SEPARATOR in str(row[label]) for row in rows)
    for number, row in enumerate(rows):
        where = f"DATA {file} row {number}"
        if classes:
            labels: Sequence[Any] = marked(where, classes, [row[name] for name in classes])
        elif texts:
            labels = parted(where, "" if row[label] is None else str(row[label]))
        else:
            labels = row[label] if isinstance(row[label], list) else [row[label]]
        several = bool(classes) or texts or isinstance(row[label], list)
        place = None if split is None or row[split] is None else str(row[split])
        yield _row(file, number, row[image], labels, place, several, tuple(map(one_form, classes))), place


def _row(
    file: Path, number: int, image: Any, labels: Sequence[Any], split: str | None, several: bool, columns: tuple[str, ...]
) -> Row:
    where = f"DATA {file} row {number}"
    check_labels(where, labels)
    if split is not None and split not in _PARTS:
        raise InputError(f"{where}: unknown split {split!r}; use train, val or test")
    name = f"{file.name}[{number}]"
    if isinstance(image, dict):  # as the Hugging Face hub stores images
        name = image.get("path") or name
        image = image.get("bytes") if image.get("bytes") is not None else image.get("path")
    if isinstance(image, bytes):
        return Row(image, name, tuple(labels), several, columns)
    if isinstance(image, str) and (file.parent / image).is_file():
        return Row(file.parent / image, image, tuple(labels), several, columns)
    raise InputError(f"{where}: holds neither an image's bytes nor the path of a file beside the table; store one of them")
