"""Tiny-ImageNet's flat val/ folder, whose classes are given in a tab-separated annotation file."""

from pathlib import Path

from augury.core.errors import InputError
from augury.core.files import read_text
from augury.train.data.files import Item
from augury.train.data.words import nearest

ANNOTATIONS = "val_annotations.txt"


def read_annotated(root: Path, folder: Path, classes: list[str]) -> list[Item]:
    """The images of `folder`/images (or `folder`) that its val_annotations.txt names, with the class of its second column.

    Raises InputError naming the line for an unknown class, a missing or repeated file, or a missing second column.
    """
    annotations = folder / ANNOTATIONS
    images = folder / "images" if (folder / "images").is_dir() else folder
    numbers = {name: label for label, name in enumerate(classes)}
    items, seen = [], set()
    try:
        lines = read_text(annotations).splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{annotations}: is not UTF-8 text; unpack the data set again") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{annotations} line {number}"
        fields = line.split("\t")
        if len(fields) < 2:
            raise InputError(f"{where}: has no second column; expected file name, tab, class")
        name, label = fields[0].strip(), fields[1].strip()
        if label not in numbers:
            raise InputError(
                f"{where}: class {label!r} is not in train/{nearest(label, classes)}; add training images or remove it"
            )
        if name in seen:
            raise InputError(f"{where}: {name!r} is named twice; remove one of the lines")
        path = images / name
        if not path.is_file():
            raise InputError(f"{where}: there is no file {path}; unpack the data set again or remove the line")
        seen.add(name)
        items.append(Item(path, path.relative_to(root).as_posix(), numbers[label]))
    if not items:
        raise InputError(f"{annotations}: names no images; unpack the data set again")
    return items
