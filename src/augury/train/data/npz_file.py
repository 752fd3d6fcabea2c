"""One .npz file: reads and checks its arrays without unpickling."""

import io
import zipfile
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from augury.augment.inputs import MOST_CHANNELS
from augury.core.errors import InputError
from augury.core.files import NotRegularError, read_bytes
from augury.train.data.archive import check_sizes
from augury.train.data.fingerprint import FileMark, digest_of
from augury.train.data.intensity import Range, levels_of, parse_range
from augury.train.data.preparation import AS_IS, ReadOptions
from augury.train.data.words import count, few, forms_of, one_form

FIELDS = ("x", "y", "classes", "group")


@dataclass(frozen=True)
class Arrays:
    """One checked file: x uint8 [N,H,W,C]; y and group as stored [N], y bool [N, classes] if images may have several labels;
    classes: names, if the file has them.

    mark: the file's size and hash. deep: whether x was stored as other values, whose range was declared.
    """

    path: Path
    x: np.ndarray
    y: np.ndarray
    classes: tuple[str, ...] | None
    group: np.ndarray | None
    mark: FileMark
    deep: bool = False


def read_arrays(path: Path, options: ReadOptions = AS_IS) -> Arrays:
    """Reads and checks one file."""
    return checked_arrays(path, *load_fields(path, FIELDS), options)


def range_of(options: ReadOptions) -> Range | None:
    """The range of values that the network was trained with, or else the declared one."""
    known = None if options.like is None else options.like.intensity
    return parse_range(options.intensity_range) if known is None else known


def checked_arrays(path: Path, fields: dict[str, np.ndarray], present: list[str], mark: FileMark, options: ReadOptions) -> Arrays:
    for name in ("x", "y"):
        if name not in fields:
            raise InputError(f"{path}: has no array {name!r}; it has {few(present) or 'none'}; rename or add it")
    x, y, group, classes = (fields.get(name) for name in ("x", "y", "group", "classes"))
    assert x is not None and y is not None
    deep = x.dtype != np.uint8
    if deep:
        x = levels_of(path, x, range_of(options))
    if x.ndim == 3:
        x = x[..., None]
    if x.ndim == 4 and ((x.shape[3] not in (1, 3) and x.shape[1] in (1, 3)) or min(x.shape[2:]) > MOST_CHANNELS >= x.shape[1] > 0):
        raise InputError(f"{path}: x has shape {_shape(x)}; put the channels last, x.transpose(0, 2, 3, 1)")
    if x.ndim != 4 or not 1 <= x.shape[3] <= MOST_CHANNELS or 0 in x.shape[1:3]:
        raise InputError(f"{path}: x has shape {_shape(x)}; store [N,H,W,C] with 1 to {MOST_CHANNELS} channels, or [N,H,W]")
    if len(x) == 0:
        raise InputError(f"{path}: x holds no images; add some or remove the file")
    for name, values in (("y", y), ("group", group)):
        if values is None or (name == "y" and values.ndim == 2):
            continue
        if values.dtype.kind not in "iuU":
            raise InputError(f"{path}: {name} is {values.dtype}; store whole numbers or names")
        if values.shape != (len(x),):
            raise InputError(f"{path}: {name} has shape {_shape(values)} for {count(len(x), 'image')}; store one value per image")
    if classes is not None and (classes.ndim != 1 or classes.dtype.kind not in "iuU" or len(set(classes.tolist())) != len(classes)):
        raise InputError(
            f"{path}: classes must be a list of different names; it has shape {_shape(classes)} and type {classes.dtype}"
        )
    if y.ndim == 2:
        y = _several(path, y, len(x), classes)
    names = None if classes is None else tuple(map(str, classes.tolist()))
    if names is not None and forms_of(names):
        raise InputError(f"{path}: classes holds {few(forms_of(names))} in several Unicode forms; store every name once")
    return Arrays(path, x, y, None if names is None else tuple(map(one_form, names)), group, mark, deep)


def _several(path: Path, y: np.ndarray, images: int, classes: np.ndarray | None) -> np.ndarray:
    """Stored 0 and 1 as bool [N, classes]."""
    if y.dtype.kind not in "biu":
        raise InputError(
            f"{path}: y is {y.dtype} {_shape(y)}; for several labels per image, store 0 and 1 as bool or whole numbers"
        )
    if len(y) != images or y.shape[1] < 2:
        raise InputError(
            f"{path}: y has shape {_shape(y)} for {count(images, 'image')}; store one value per image, or [N, classes]"
        )
    if classes is not None and len(classes) != y.shape[1]:
        raise InputError(f"{path}: y has {y.shape[1]} columns for {count(len(classes), 'class', 'classes')}; store one for each")
    bad = (y != 0) & (y != 1)
    if bad.any():
        row, column = (int(part[0]) for part in bad.nonzero())
        raise InputError(f"{path}: y[{row},{column}] is {y[row, column]}; with several labels per image, y must hold 0 and 1")
    return y.astype(bool)


def load_fields(path: Path, wanted: Collection[str]) -> tuple[dict[str, np.ndarray], list[str], FileMark]:
    """The wanted fields (others are not read), the names of all fields, and the file's mark."""
    try:
        data = read_bytes(path)
        if data.startswith(b"\x93NUMPY"):
            raise InputError(f"{path}: is a single array; store x and y with numpy.savez")
        # Opened first, since numpy leaves a half-initialised object behind if the archive is damaged.
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            check_sizes(path, archive, wanted)
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            fields = {name: _field(path, file, name) for name in file.files if name in wanted}
            return fields, file.files, FileMark(path.name, "", len(data), digest_of(data))
    except NotRegularError as error:
        raise InputError(f"{path}: is {error.strerror}; store arrays with numpy.savez") from None
    except (InputError, PermissionError):
        raise
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, KeyError, NotImplementedError, AttributeError) as error:
        raise InputError(f"{path}: is damaged or not an .npz file ({_line(error)}); write it again with numpy.savez") from None


def _field(path: Path, file: np.lib.npyio.NpzFile, name: str) -> np.ndarray:
    try:
        value = file[name]
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise InputError(
                f"{path}: {name} holds pickled Python objects, which can execute code; store it with a plain type such as uint8"
            ) from None
        raise
    if not isinstance(value, np.ndarray):
        raise InputError(f"{path}: {name} is not stored as an array; write it with numpy.savez")
    if value.dtype.kind == "S":
        try:
            value = np.char.decode(value, "utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{path}: {name} holds bytes that are not UTF-8 text; store the names as text") from None
    if value.dtype.kind == "U" and value.ndim == 1 and name in ("y", "group"):
        distinct, inverse = np.unique(value, return_inverse=True)
        value = np.array([one_form(text) for text in distinct.tolist()])[inverse.reshape(-1)]
    return value


def _shape(array: np.ndarray) -> str:
    return f"[{','.join(map(str, array.shape))}]"


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
