"""Folders of images: train/ and test/ (or val/) with a folder per class, optionally with a folder per group in each."""

import os
from collections.abc import Iterator
from pathlib import Path

from augury.core.errors import InputError
from augury.core.registry import register
from augury.train.data.files import Item, read_items
from augury.train.data.label_columns import text_of
from augury.train.data.parts import Parts
from augury.train.data.preparation import AS_IS, ReadOptions
from augury.train.data.reader import Reader, of_path
from augury.train.data.splits import TEST_FRACTION, cut_by_name
from augury.train.data.tiny_imagenet import ANNOTATIONS, read_annotated
from augury.train.data.webdataset import is_shards
from augury.train.data.words import count, few, forms_note, nearest, one_form

VALIDATION = ("val", "valid", "validation")
_IGNORED = ("thumbs.db", "desktop.ini", "__macosx")
_CODE = (".pt", ".pth", ".pkl", ".pickle", ".joblib")


@register("reader", "folder", source="the layout of torchvision's ImageFolder")
def folder() -> Reader:
    """A folder with train/ and test/ (or val/), each with a folder of images per class."""
    return Reader(of_path(read_folder), lambda path: (path / "train").is_dir() and not is_shards(path))


def read_folder(root: Path, options: ReadOptions = AS_IS) -> Parts:
    """Reads the parts of a folder. Without test/, val/ is the test part; beside test/, it is the validation part.

    Classes are the folders of train/, sorted by name; images may lie at any depth below them. If every class folder of every part
    holds only folders, these are groups. Class folders without train/ are one part, from which a test part is cut. Tiny-ImageNet's
    flat val/ with its annotation file is supported. Raises InputError if folders or classes are missing or empty, or if another
    part has a class that train/ does not have.
    """
    lone = class_folders(root)
    if lone:
        return _read_classes(root, lone, options)
    folders, notes = _part_folders(root)
    classes = sorted({one_form(p.name) for p in directories(folders["train"])})
    notes += forms_note(p.name for folder in folders.values() for p in directories(folder))
    if not classes:
        raise InputError(f"DATA {root}: train/ holds no class folders; put the images into one folder per class")
    flat = {name: folder for name, folder in folders.items() if (folder / ANNOTATIONS).is_file()}
    if flat:
        items = {name: _tiny(root, name, folder, classes, flat) for name, folder in folders.items()}
        return read_items(f"DATA {root}", classes, items, options=options, notes=notes)
    for folder in folders.values():
        notes += _loose(root, folder)
    grouped, group_note = _groups(folders)
    items = {name: list(_items(root, folder, classes, grouped)) for name, folder in folders.items()}
    filled = {item.label for item in items["train"]}
    for label, class_name in enumerate(classes):
        if label not in filled:
            raise InputError(f"DATA {root}: the class folder train/{class_name} holds no files; fill or remove it")
    for name in ("validation", "test"):
        if name in items and not items[name]:
            raise InputError(f"DATA {root}: {folders[name].name}/ holds no files in class folders; fill or remove it")
    return read_items(
        f"DATA {root}", classes, items, group_names=grouped, options=options, notes=[*notes, *group_note]
    )  # fmt: skip


def class_folders(root: Path) -> list[Path]:
    """The class folders of a folder without parts: two or more, all of which hold files, none named like a part; else empty."""
    found = directories(root)
    names = {p.name.lower() for p in found}
    if len(found) < 2 or names & {"train", "training", "test", "testing", *VALIDATION} or root.name == "train":
        return []
    if nearest("train", [p.name for p in found]) or any(p.suffix.lower() in _CODE for p in _entries(root)):
        return []
    return found if all(next(files_below(place), None) is not None for place in found) else []


def _read_classes(root: Path, folders: list[Path], options: ReadOptions) -> Parts:
    """Reads class folders as one part; about a fifth of every class becomes the test part, chosen by the images' paths."""
    classes = sorted({one_form(p.name) for p in folders})
    items = [
        Item(path, path.relative_to(root).as_posix(), classes.index(one_form(place.name)))
        for place in folders for path in files_below(place)
    ]  # fmt: skip
    held = cut_by_name([one_form(item.name) for item in items], [text_of(item.label, classes) for item in items], TEST_FRACTION)
    if not any(held):
        raise InputError(f"DATA {root}: no class has two images, so none is left for a test part; add images")
    parts = {
        "train": [item for item, out in zip(items, held, strict=True) if not out],
        "test": [item for item, out in zip(items, held, strict=True) if out],
    }
    notes = [
        f"{root.name}/ holds class folders and no train/: {count(sum(held), 'image')} of {len(items):,} are the test part (about "
        "20 % of every class, chosen by their paths, always the same)",
        *forms_note(p.name for p in folders), *_loose(root, root),
    ]  # fmt: skip
    return read_items(f"DATA {root}", classes, parts, options=options, notes=notes)


def directories(folder: Path) -> list[Path]:
    """The sub-folders that are not ignored, sorted by name."""
    return [p for p in _entries(folder) if p.is_dir()]


def files_below(folder: Path) -> Iterator[Path]:
    """Every file below a folder that is not ignored, in the same order on every system; links are followed."""
    seen: set[str] = set()

    def walk(place: Path) -> Iterator[Path]:
        real = os.path.realpath(place)
        if real in seen:
            return  # a link to one of its own parents
        seen.add(real)
        for entry in _entries(place):
            if entry.is_dir():
                yield from walk(entry)
            else:
                yield entry

    yield from walk(folder)


def ignored(name: str) -> bool:
    """Whether a file is a leftover of file managers or archivers: .DS_Store, Thumbs.db, desktop.ini, __MACOSX and all dot files."""
    return name.startswith(".") or name.lower() in _IGNORED


def _entries(folder: Path) -> list[Path]:
    with os.scandir(folder) as found:
        return sorted((Path(e.path) for e in found if not ignored(e.name)), key=lambda p: p.name)


def _part_folders(root: Path) -> tuple[dict[str, Path], list[str]]:
    """The folders of train, test and, if present, validation, and a note if val/ is used as test part."""
    present = {p.name: p for p in directories(root)}
    if "train" not in present:
        code = [p.name for p in _entries(root) if p.suffix.lower() in _CODE]
        if code:
            raise InputError(f"DATA {root}: {code[0]} can execute code when read; give images, train.npz and test.npz, or a CSV")
        if not _entries(root):
            raise InputError(f"DATA {root}: the folder is empty; give one with train/ and test/, or with train.npz and test.npz")
        if root.name == "train":
            raise InputError(f"DATA {root}: give the folder above, which holds train/ and test/")
        found = nearest("train", [p.name for p in _entries(root)])
        raise InputError(
            f"DATA {root}: holds no train/ folder and no train.npz{found}"
            + ("" if found else "; sort the images into train/CLASS/ and test/CLASS/, or write a CSV with path,label")
        )
    held = [name for name in VALIDATION if name in present]
    if len(held) > 1:
        raise InputError(f"DATA {root}: holds both {held[0]}/ and {held[1]}/; keep one of them")
    unlabelled = "test" in present and _is_unlabelled(present, held)
    if "test" in present and not unlabelled:
        folders = {"train": present["train"], "test": present["test"]}
        return folders | ({"validation": present[held[0]]} if held else {}), []
    if not held:
        found = nearest("test", [name for name in present if name != "train"])
        raise InputError(
            f"DATA {root}: holds train/ but neither test/ nor val/{found}"
            + ("" if found else "; add one, or write a CSV with path,label, from which a test part is cut")
        )
    why = "test/ holds no labels" if unlabelled else "there is no test/"
    note = f"{held[0]}/ is the test part, since {why}; the validation part is cut from train/"
    return {"train": present["train"], "test": present[held[0]]}, [note]


def _is_unlabelled(present: dict[str, Path], held: list[str]) -> bool:
    """Whether test/ is that of Tiny-ImageNet: one folder `images`, which is not a class, beside an annotated val/."""
    annotated = bool(held) and (present[held[0]] / ANNOTATIONS).is_file()
    return annotated and [p.name for p in directories(present["test"])] == ["images"]


def _tiny(root: Path, name: str, folder: Path, classes: list[str], flat: dict[str, Path]) -> list[Item]:
    if name in flat:
        return read_annotated(root, folder, classes)
    items = []
    for label, class_name in enumerate(classes):
        images = folder / class_name / "images"
        place = images if images.is_dir() else folder / class_name
        found = [Item(p, p.relative_to(root).as_posix(), label) for p in files_below(place)]
        if not found and name == "train":
            raise InputError(f"DATA {root}: the class folder train/{class_name} holds no files; fill or remove it")
        items += found
    return items


def _items(root: Path, folder: Path, classes: list[str], groups: list[str]) -> Iterator[Item]:
    for place in directories(folder):
        class_name = one_form(place.name)
        if class_name not in classes:
            raise InputError(
                f"DATA {root}: class {class_name!r} is only in {folder.name}/{nearest(class_name, classes)}"
                f"{'' if nearest(class_name, classes) else ' and not in train/; add training images or remove it'}"
            )
        label = classes.index(class_name)
        for inner in directories(place) if groups else [place]:
            group = groups.index(inner.name) if groups else 0
            for path in files_below(inner):
                yield Item(path, path.relative_to(root).as_posix(), label, group)


def _groups(folders: dict[str, Path]) -> tuple[list[str], list[str]]:
    """The names of the groups, and a note if only some class folders hold nothing but folders."""
    only_folders, names = [], set()
    for folder in folders.values():
        for place in directories(folder):
            entries = _entries(place)
            if not entries:
                continue
            only_folders.append(all(p.is_dir() for p in entries))
            if only_folders[-1]:
                names |= {p.name for p in entries}
    if all(only_folders) and len(names) > 1:
        return sorted(names), []
    if any(only_folders) and len(names) > 1:
        return [], ["sub-folders of classes are not treated as groups, since some class folders hold files"]
    return [], []


def _loose(root: Path, folder: Path) -> list[str]:
    """A note on files beside the class folders, which have no class."""
    loose = [p.relative_to(root).as_posix() for p in _entries(folder) if not p.is_dir()]
    return [f"left out: {count(len(loose), 'file')} beside the class folders of {folder.name}/: {few(loose)}"] if loose else []
