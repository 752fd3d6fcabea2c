"""Parquet: one table, or a folder of train*.parquet and test*.parquet, with the images' bytes or their paths in a column."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from augury.core.errors import InputError
from augury.core.registry import register
from augury.core.target_kind import SEPARATOR
from augury.train.data.files import Item, read_items
from augury.train.data.label_columns import ONE_EACH, class_columns, marked, one_each, parted, rarest
from augury.train.data.parts import Parts
from augury.train.data.preparation import AS_IS, ReadOptions
from augury.train.data.reader import Reader, of_path
from augury.train.data.splits import TEST_FRACTION, cut_by_name
from augury.train.data.words import count, few, one_form

_IMAGES = ("image", "img", "images", "jpg", "png", "bytes", "path", "file_name", "image_path")
_LABELS = ("label", "labels", "class", "target", "category", "fine_label")
_PARTS = {"train": "train", "test": "test", "val": "validation", "valid": "validation", "validation": "validation"}


@register("reader", "parquet", source="parquet.apache.org")
def parquet() -> Reader:
    """A .parquet table with a column of images (bytes, or paths) and one of labels; or a folder with one for each part."""
    return Reader(
        of_path(read_parquet),
        lambda path: path.suffix.lower() == ".parquet" if path.is_file() else path.is_dir() and any(path.glob("train*.parquet")),
    )


def read_parquet(path: Path, options: ReadOptions = AS_IS) -> Parts:
    """The parts of a table, or of a folder of tables. An image may have several labels: a list of them, `dog|ball` in a column
    called `labels`, or a column of 0 and 1 for every class. A lone table's parts are those of its column `split`, or about a
    fifth of every class is the test part. Raises InputError naming the table and the row for what is missing or wrong.
    """
    notes: list[str] = []
    if path.is_file():
        rows = list(_rows(path))
        splits = {str(row["split"]) for row in rows if row["split"] is not None}
        parts = (
            {_PARTS[name]: [r for r in rows if str(r["split"]) == name] for name in splits} if splits else _cut(path, rows, notes)
        )
    else:
        parts = {}
        for name, part in _PARTS.items():
            for file in sorted(path.glob(f"{name}*.parquet")) if part not in parts or name == "validation" else []:
                parts.setdefault(part, []).extend(_rows(file))
        if "test" not in parts and "validation" in parts:
            parts["test"] = parts.pop("validation")
            notes.append("the validation tables are the test part, for there is no other; validation is cut from the training part")
    if not parts.get("train") or not parts.get("test"):
        missing = "train" if not parts.get("train") else "test"
        raise InputError(f"DATA {path}: has no rows of the {missing} part; add some, or give one table without a column split")
    everything = [row for rows in parts.values() for row in rows]
    several = any(row["several"] for row in everything) and not one_each([row["labels"] for row in everything])
    if not several and any(row["several"] for row in everything):
        notes.append(ONE_EACH)
    columns = everything[0]["columns"]
    classes = list(columns) if columns else _classes([label for row in parts["train"] for label in row["labels"]])
    order = {name: number for number, name in enumerate(classes)}
    items = {part: [_item(row, order, several) for row in rows] for part, rows in parts.items()}
    return read_items(f"DATA {path}", classes, items, options=options, notes=notes)


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    """Each row's image, labels, split and name, checked."""
    try:
        import pyarrow
        from pyarrow import parquet as library
    except ImportError:
        raise InputError(f"DATA {file}: needs the package pyarrow; pip install 'augury[hf]'") from None
    try:
        table = library.read_table(file)
    except (pyarrow.ArrowException, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"DATA {file}: is damaged or no parquet table ({reason[:150]}); write it again") from None
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
        yield {
            **_row(file, number, row[image], labels, None if split is None else row[split]), "several": several,
            "columns": tuple(map(one_form, classes)),
        }  # fmt: skip


def _row(file: Path, number: int, image: Any, labels: Sequence[Any], split: Any) -> dict[str, Any]:
    where = f"DATA {file} row {number}"
    for label in labels:
        if label is None:
            raise InputError(f"{where}: has no label; fill the gap or remove the row")
        if isinstance(label, float):
            raise InputError(f"{where}: label {label:g} is a number with a point, as gaps make them; store whole numbers or names")
    if len(set(labels)) < len(labels):
        raise InputError(f"{where}: has the label {max(labels, key=list(labels).count)!r} twice; name every label once")
    if split is not None and str(split) not in _PARTS:
        raise InputError(f"{where}: unknown split {str(split)!r}; use train, val or test")
    name = f"{file.name}[{number}]"
    if isinstance(image, dict):  # as the Hugging Face hub stores images
        name = image.get("path") or name
        image = image.get("bytes") if image.get("bytes") is not None else image.get("path")
    if isinstance(image, bytes):
        return {"source": image, "labels": list(labels), "split": split, "name": name}
    if isinstance(image, str) and (file.parent / image).is_file():
        return {"source": file.parent / image, "labels": list(labels), "split": split, "name": image}
    raise InputError(f"{where}: holds neither an image's bytes nor the path of a file beside the table; store one of them")


def _cut(path: Path, rows: list[dict[str, Any]], notes: list[str]) -> dict[str, list[dict[str, Any]]]:
    held = cut_by_name([row["name"] for row in rows], rarest([list(map(str, row["labels"])) for row in rows]), TEST_FRACTION)
    cut = f"{count(sum(held), 'image')} of {len(rows):,} are the test part (about 20 % of every class)"
    notes.append(f"{path.name} has no column split: {cut}")
    pairs = list(zip(rows, held, strict=True))
    return {"train": [row for row, out in pairs if not out], "test": [row for row, out in pairs if out]}


def _classes(labels: list[Any]) -> list[str]:
    """Numbers in their order, names in that of the alphabet."""
    if all(isinstance(label, int) for label in labels):
        return [str(label) for label in sorted(set(labels))]
    return sorted({str(label) for label in labels})


def _item(row: dict[str, Any], order: dict[str, int], several: bool) -> Item:
    labels = list(map(str, row["labels"]))
    for label in labels:
        if label not in order:
            raise InputError(f"{row['name']}: class {label!r} has no training image; add some or remove it")
    numbers = tuple(order[label] for label in labels)
    return Item(row["source"], row["name"], numbers if several else numbers[0])
