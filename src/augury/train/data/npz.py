"""Arrays: a folder with train.npz and test.npz (and optionally val.npz), read without unpickling."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from augury.core.errors import InputError
from augury.core.registry import register
from augury.core.target_kind import TargetKind
from augury.train.data.fingerprint import FileMark, Fingerprint, digest_of, repetition_note
from augury.train.data.label_columns import ONE_EACH
from augury.train.data.npz_file import FIELDS, Arrays, checked_arrays, load_fields, range_of, read_arrays
from augury.train.data.parts import Part, Parts
from augury.train.data.preparation import AS_IS, Preparation, ReadOptions
from augury.train.data.reader import Reader, of_path
from augury.train.data.resize import Size, fit_tensor, in_words
from augury.train.data.splits import TEST_FRACTION, cut
from augury.train.data.words import count, few, nearest


@register("reader", "npz", source="NumPy's format of several arrays")
def npz() -> Reader:
    """A folder with train.npz and test.npz, and optionally val.npz; or one .npz file."""
    return Reader(of_path(read_npz), lambda path: (path / "train.npz").exists() or (path.is_file() and path.suffix == ".npz"))


def read_npz(root: Path, options: ReadOptions = AS_IS) -> Parts:
    """Reads x uint8 [N,H,W,C] with C up to 16, or [N,H,W]; y whole numbers or names [N], or 0 and 1 [N, classes] if an image may
    have several labels; and optionally `classes` (names) and `group` [N].

    Raises InputError naming file and field for wrong shapes, types, lengths and labels, damaged files and pickled objects.
    """
    if root.is_file():
        arrays, notes = _one_file(root, options)
    else:
        files, notes = _files(root)
        arrays = {name: read_arrays(path, options) for name, path in files.items()}
    arrays, said = _one_each(arrays)
    notes += said
    train = arrays["train"]
    for other in arrays.values():
        if other.y.dtype.kind != train.y.dtype.kind:
            raise InputError(
                f"{other.path}: y holds {_KINDS[other.y.dtype.kind]}; store {_KINDS[train.y.dtype.kind]}, as in {train.path.name}"
            )
        if other.classes is not None and other.classes != train.classes:
            raise InputError(f"{other.path}: classes are not those of {train.path.name}; store the same names in the same order")
    classes = _classes(train)
    group_names = _group_names(list(arrays.values()))
    channels = max(a.x.shape[3] for a in arrays.values())
    if options.like is not None:
        channels = options.like.channels
    size = options.size or (train.x.shape[1], train.x.shape[2])
    parts, coloured = {}, 0
    others: list[Size] = []
    for name, a in arrays.items():
        images = torch.from_numpy(np.ascontiguousarray(a.x.transpose(0, 3, 1, 2)))
        _refuse_channels(a.path, images.shape[1], channels)
        coloured += len(images) if images.shape[1] < channels else 0
        own = (images.shape[-2], images.shape[-1])
        others += [own] * len(images) if own != size else []
        images = fit_tensor(images, size, options.how)
        groups = None if a.group is None else _numbers(a.group, group_names)
        names = tuple(f"{a.path.name}[{row}]" for row in range(len(images)))
        images = images.expand(-1, channels, -1, -1).contiguous()
        parts[name] = Part(images, _labels(a, classes), groups, names, (a.mark,))
    if coloured:
        notes.append(f"converted: {count(coloured, 'grey image')} to RGB")
    if others:
        how = in_words(others, size, options.how)
        notes.append(f"sizes: {count(len(others), 'image')} resized to {size[0]}x{size[1]} ({how})")
    notes += _repeated(arrays)
    deep = any(a.deep for a in arrays.values())
    made = Preparation(size, channels, range_of(options), options.how) if deep else None
    return Parts(classes, parts["train"], parts["test"], parts.get("validation"), group_names, tuple(notes), preparation=made)


# Names of the images and labels of each part within one file: those of Keras, of MedMNIST and of Augury.
_PARTS = {"train": "train", "test": "test", "val": "validation", "valid": "validation"}
_IN_ONE = {
    f"{pattern.format(part)}": (part, field)
    for part in _PARTS
    for field, patterns in (("x", ("x_{}", "{}_images", "{}_x")), ("y", ("y_{}", "{}_labels", "{}_y")))
    for pattern in patterns
}


def _one_file(path: Path, options: ReadOptions) -> tuple[dict[str, Arrays], list[str]]:
    """The parts in one file; if it holds only x and y, about a fifth of every class is the test part."""
    fields, present, mark = load_fields(path, (*FIELDS, *_IN_ONE))
    if "x" in fields and "y" in fields:
        whole = checked_arrays(path, fields, present, mark, options)
        if whole.y.ndim == 2:
            strata = TargetKind.SEVERAL.strata(torch.from_numpy(whole.y))
        else:
            strata = torch.from_numpy(np.unique(whole.y, return_inverse=True)[1].reshape(-1))
        kept, held = cut(strata, TEST_FRACTION, name="test")
        if not len(held):
            raise InputError(f"{path}: no class has two images, so none is left for a test part; add images")
        note = f"{path.name} is one part: {count(len(held), 'image')} of {len(whole.x):,} are the test part (20 % of every class)"
        return {name: _some(whole, rows.numpy()) for name, rows in (("train", kept), ("test", held))}, [note]
    parts: dict[str, dict[str, np.ndarray]] = {}
    for name, value in fields.items():
        if name in _IN_ONE:
            part, field = _IN_ONE[name]
            parts.setdefault(_PARTS[part], {})[field] = (
                value.reshape(-1) if field == "y" and value.ndim == 2 and value.shape[1] == 1 else value
            )
    if "train" not in parts or not {"test", "validation"} & set(parts):
        raise InputError(f"{path}: holds {few(present) or 'nothing'}; store x and y, or x_train, y_train, x_test and y_test")
    more = {name: fields[name] for name in ("classes",) if name in fields}
    notes = []
    if "test" not in parts:
        parts["test"] = parts.pop("validation")
        notes.append(f"the validation part of {path.name} is the test part, since it has no other; validation is cut from training")
    order = [name for name in ("train", "test", "validation") if name in parts]
    return {name: checked_arrays(path, {**parts[name], **more}, present, mark, options) for name in order}, notes


def _some(whole: Arrays, rows: np.ndarray) -> Arrays:
    """The given rows of a file."""
    return replace(whole, x=whole.x[rows], y=whole.y[rows], group=None if whole.group is None else whole.group[rows])


def read_part(path: Path, classes: Sequence[str], options: ReadOptions, kind: TargetKind) -> tuple[Part, list[str]]:
    """One file for a network with these classes, converted as `options.like` says, with notes. kind: of the labels that it was
    trained on. InputError as in `read_npz`."""
    a, like = read_arrays(path, options), options.like
    if a.y.ndim == 2 and kind is TargetKind.ONE:
        a = _one_each({"test": a})[0]["test"]
    if (a.y.ndim == 2) is not (kind is TargetKind.SEVERAL):
        given = TargetKind.SEVERAL if a.y.ndim == 2 else TargetKind.ONE
        raise InputError(f"{path}: y says {given.words}, but the network was trained on {kind.words}; give such labels")
    names = a.classes if a.classes is not None else tuple(map(str, np.unique(a.y).tolist())) if a.y.dtype.kind == "U" else None
    strange = [name for name in names or () if name not in classes]
    if strange:
        raise InputError(f"{path}: has the class {strange[0]!r}, which the network does not know{nearest(strange[0], classes)}")
    own = tuple(classes) if names is None or a.y.dtype.kind == "U" else names
    places = torch.tensor([list(classes).index(name) for name in own], dtype=torch.int64)
    found = _labels(a, own)
    if kind is TargetKind.ONE:
        labels = places[found]
    else:
        labels = torch.zeros(len(found), len(classes), dtype=torch.bool)
        labels[:, places] = found
    images = torch.from_numpy(np.ascontiguousarray(a.x.transpose(0, 3, 1, 2)))
    if like is not None:
        _refuse_channels(path, images.shape[1], like.channels)
        images = fit_tensor(images, like.size, like.resize).expand(-1, like.channels, -1, -1).contiguous()
    return Part(images, labels, None, tuple(f"{path.name}[{row}]" for row in range(len(images))), (a.mark,)), []


_KINDS = {"i": "numbers", "u": "numbers", "U": "names", "b": "several labels per image"}


def _one_each(arrays: dict[str, Arrays]) -> tuple[dict[str, Arrays], list[str]]:
    """The arrays with whole numbers [N] instead of [N, classes] if every image has exactly one label, and a note that says so."""
    if any(a.y.ndim == 1 or not bool((a.y.sum(1) == 1).all()) for a in arrays.values()):
        return arrays, []
    made = {
        name: replace(a, y=a.y.argmax(1), classes=a.classes or tuple(map(str, range(a.y.shape[1])))) for name, a in arrays.items()
    }
    return made, [ONE_EACH]


def _files(root: Path) -> tuple[dict[str, Path], list[str]]:
    train, test, validation = (root / f"{name}.npz" for name in ("train", "test", "val"))
    if test.exists():
        return {"train": train, "test": test} | ({"validation": validation} if validation.exists() else {}), []
    if validation.exists():
        note = "val.npz is the test part, since there is no test.npz; the validation part is cut from train.npz"
        return {"train": train, "test": validation}, [note]
    near = nearest("test.npz", [p.name for p in root.iterdir() if p.name != "train.npz"])
    raise InputError(f"DATA {root}: holds train.npz but neither test.npz nor val.npz{near or '; add one'}")


def _refuse_channels(path: Path, own: int, channels: int) -> None:
    """InputError if images do not have the required channels; grey ones are converted to colour."""
    if own == channels or (own, channels) == (1, 3):
        return
    if (own, channels) == (3, 1):
        raise InputError(f"{path}: x holds colour images, but the network takes grey ones; store [N,H,W]")
    raise InputError(f"{path}: x holds images of {own} channels, but {channels} are needed; store [N,H,W,{channels}]")


def _repeated(arrays: dict[str, Arrays]) -> list[str]:
    """A note if images of one file are in another file too."""

    def mark(file: Arrays, row: int) -> FileMark:
        return FileMark(f"{file.path.name}[{row}]", str(file.y[row]), file.x[row].nbytes, digest_of(file.x[row].tobytes()))

    return repetition_note(Fingerprint({part: tuple(mark(a, row) for row in range(len(a.x))) for part, a in arrays.items()}))


def _classes(train: Arrays) -> tuple[str, ...]:
    """The names as stored; else the sorted names in y, or the numbers from 0 to the largest training label."""
    if train.classes is not None:
        return train.classes
    if train.y.ndim == 2:
        return tuple(map(str, range(train.y.shape[1])))
    if train.y.dtype.kind == "U":
        return tuple(np.unique(train.y).tolist())
    low, high = int(train.y.min()), int(train.y.max())
    values = len(np.unique(train.y))
    if low < 0 or high + 1 != values:
        raise InputError(
            f"{train.path}: y has {count(values, 'different value')} from {low} to {high}; number the classes 0 to {values - 1} "
            "or store their names as `classes`"
        )
    return tuple(map(str, range(high + 1)))


def _labels(arrays: Arrays, classes: tuple[str, ...]) -> Tensor:
    if arrays.y.ndim == 2:
        if arrays.y.shape[1] != len(classes):
            raise InputError(f"{arrays.path}: y has {arrays.y.shape[1]} columns for {count(len(classes), 'class', 'classes')}")
        return torch.from_numpy(arrays.y)
    if arrays.y.dtype.kind == "U":
        unknown = sorted(set(arrays.y.tolist()) - set(classes))
        if unknown:
            raise InputError(
                f"{arrays.path}: y holds the class {unknown[0]!r}, which is not among the classes{nearest(unknown[0], classes)}; "
                "add training images of it or remove it"
            )
        return _numbers(arrays.y, classes)
    bad = (arrays.y < 0) | (arrays.y >= len(classes))
    if bad.any():
        row = int(bad.argmax())
        raise InputError(
            f"{arrays.path}: y[{row}] is {arrays.y[row]}; with {count(len(classes), 'class', 'classes')} in train.npz labels run "
            f"from 0 to {len(classes) - 1}"
        )
    return torch.from_numpy(arrays.y.astype(np.int64))


def _group_names(arrays: list[Arrays]) -> tuple[str, ...]:
    missing = [a.path for a in arrays if a.group is None]
    if len(missing) == len(arrays):
        return ()
    if missing:
        raise InputError(f"{missing[0]}: has no array 'group', though another part has one; store it in all parts or in none")
    values = sorted({value for a in arrays if a.group is not None for value in a.group.tolist()}, key=lambda v: (str(type(v)), v))
    return tuple(map(str, values))


def _numbers(values: np.ndarray, names: tuple[str, ...]) -> Tensor:
    """The position of every value among `names`."""
    distinct, inverse = np.unique(values, return_inverse=True)
    positions = {name: i for i, name in enumerate(names)}
    return torch.tensor([positions[str(v)] for v in distinct.tolist()], dtype=torch.int64)[torch.from_numpy(inverse.reshape(-1))]
