"""Images without a training part, for a trained network: labelled images to evaluate it on, or any images to predict."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from augury.core.errors import InputError
from augury.core.files import kind_of
from augury.core.target_kind import TargetKind
from augury.train.data.decode import decode
from augury.train.data.decoded_cache import DecodedCache
from augury.train.data.files import Item
from augury.train.data.fingerprint import FileMark
from augury.train.data.folder import VALIDATION, directories, files_below
from augury.train.data.label_columns import tensor_of, text_of
from augury.train.data.manifest import Line, read_lines
from augury.train.data.npz import read_part
from augury.train.data.parts import Part
from augury.train.data.preparation import Preparation, ReadOptions
from augury.train.data.words import few, nearest, one_form

_PARTS = ("test", *VALIDATION)


def is_alone(data: str) -> bool:
    """Whether DATA names labelled images without a training part: class folders, test/ or test.npz alone, or a manifest in which
    no line has the split train."""
    path = Path(data).expanduser()
    if path.is_dir():
        return not any((path / name).exists() for name in ("train", "train.npz", "bounding_box_train"))
    return path.suffix.lower() == ".csv" and path.is_file() and not any(line.split == "train" for line in read_lines(path))


def read_alone(
    data: str, classes: Sequence[str], preparation: Preparation, cache: str | None = None, kind: TargetKind = TargetKind.ONE
) -> tuple[Part, list[str]]:
    """Labelled images for a network with these classes, matched by name; not every class needs images.

    kind: of the labels that the network was trained on. cache: see `load`. Returns the images, converted as the network needs, and
    notes. Raises InputError if there are no such images, or for a class that the network does not know.
    """
    path, options = Path(data).expanduser(), ReadOptions(like=preparation, stream="auto", cache=DecodedCache.of(cache))
    if path.is_dir() and (path / "test.npz").exists():
        return read_part(path / "test.npz", classes, options, kind)
    if kind is TargetKind.SEVERAL and not path.is_file():
        raise InputError(
            f"--data {path}: class folders give one class per image, but the network predicts several; give a manifest"
        )
    items = list(_manifest(path, classes, kind) if path.is_file() else _folder(path, classes))
    if not items:
        raise InputError(f"--data {path}: holds no images in class folders; `augury predict` takes images without labels")
    found = decode([item.source for item in items], [item.name for item in items], f"--data {path}", options)
    kept = [items[row] for row in found.rows.tolist()]
    marks = tuple(FileMark(i.name, text_of(i.label, classes), *m) for i, m in zip(items, found.marks, strict=True))
    labels = tensor_of([item.label for item in kept], len(classes))
    return Part(found.images, labels, None, tuple(item.name for item in kept), marks), list(found.notes)


def images_in(paths: Sequence[Path]) -> list[tuple[Path, str]]:
    """Every file named, and every file at any depth in the folders named, each with its path as a user would write it.

    Raises InputError if a file or folder does not exist.
    """
    found: list[tuple[Path, str]] = []
    for path in paths:
        try:
            kind = kind_of(path.stat().st_mode)
        except (OSError, ValueError) as error:
            raise InputError(f"IMAGES {path}: {getattr(error, 'strerror', None) or error}; name image files or folders") from None
        if kind == "a folder":
            found += [(each, str(each)) for each in files_below(path)]
        elif kind:
            raise InputError(f"IMAGES {path}: is {kind}; name image files or folders")
        else:
            found.append((path, str(path)))
    if not found:
        raise InputError(f"IMAGES {few([str(path) for path in paths])}: holds no files; name image files or folders")
    return found


def _folder(root: Path, classes: Sequence[str]) -> Iterator[Item]:
    held = [name for name in _PARTS if (root / name).is_dir() and name not in classes]
    base = root / held[0] if held else root
    for place in directories(base):
        label = _number(one_form(place.name), classes, f"--data {root}: the folder {place.relative_to(root).as_posix()}/")
        for file in files_below(place):
            yield Item(file, file.relative_to(root).as_posix(), label)


def _manifest(file: Path, classes: Sequence[str], kind: TargetKind) -> Iterator[Item]:
    lines = read_lines(file)
    tests: list[Line] = [line for line in lines if line.split == "test"] or lines
    for line in tests:
        where = f"--data {file} line {line.number}:"
        names = line.names if kind is TargetKind.SEVERAL else (line.label,)
        numbers = tuple(_number(name, classes, where) for name in names)
        yield Item(line.path, line.name, numbers if kind is TargetKind.SEVERAL else numbers[0])


def _number(name: str, classes: Sequence[str], where: str) -> int:
    if name in classes:
        return list(classes).index(name)
    raise InputError(f"{where} has the class {name!r}, which the network does not know{nearest(name, classes)}; remove it")
