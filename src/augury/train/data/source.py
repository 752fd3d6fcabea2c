"""Resolves DATA to the reader of its format; if no reader recognises it, the error suggests the nearest name."""

import errno
import os
from dataclasses import replace
from pathlib import Path

from augury.core import registry
from augury.core.errors import InputError
from augury.core.files import kind_of
from augury.core.text import shortened
from augury.train.data.parts import Parts
from augury.train.data.preparation import ReadOptions
from augury.train.data.reader import Reader
from augury.train.data.words import nearest

_EXECUTABLE = (".pt", ".pth", ".pkl", ".pickle", ".joblib", ".ckpt")
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")


def read(data: str, options: ReadOptions) -> Parts:
    """Reads the parts of any `data` but registered data sets: `READER:PLACE`, or a path that a reader recognises."""
    name, colon, place = data.partition(":")
    named = bool(colon) and registry.has("reader", name)
    path = Path(place if named else data).expanduser()
    try:
        if named:
            parts = _reader(name).read(place, options)
            return replace(parts, place=Path(os.path.abspath(path))) if path.exists() else parts
        if path.is_dir() or path.is_file() or "{" in path.name:
            found = _read_path(path, options)
            return replace(found, place=Path(os.path.abspath(path))) if path.exists() else found
    except PermissionError as error:
        raise InputError(f"DATA {error.filename or data}: may not be read (permission denied); change its permissions") from None
    except FileNotFoundError as error:
        raise InputError(f"DATA {data}: no such folder or file as {error.filename or path}") from None
    except (ValueError, OSError) as error:
        if isinstance(error, InputError) or (isinstance(error, OSError) and error.errno != errno.ENAMETOOLONG):
            raise
        raise InputError(f"DATA {shortened(repr(data))}: is not a path ({error})") from None
    kind = _kind(path)
    if kind:
        raise InputError(f"DATA {path}: is {kind}; give a folder, or a .csv manifest")
    raise _not_there(data, path)


def _reader(name: str) -> Reader:
    made: Reader = registry.get("reader", name)()
    return made


def _kind(path: Path) -> str:
    """The kind of a path that is neither a file nor a folder, for messages."""
    try:
        return kind_of(path.stat().st_mode)
    except (OSError, ValueError):
        return ""


def _read_path(path: Path, options: ReadOptions) -> Parts:
    """Reads a file or folder with the one reader that recognises it; for other folders, `read_folder` says what is missing."""
    found = [name for name in registry.names("reader") if _reader(name).recognises(path)]
    if len(found) > 1:
        raise InputError(
            f"DATA {path}: may be read as {' or as '.join(found)}; write {found[0]}:{path} or {found[1]}:{path}, or move one away"
        )
    if not found and path.is_file():
        raise _unread(path)
    if not found and not path.is_dir():
        raise _not_there(str(path), path)
    return _reader(found[0] if found else "folder").read(str(path), options)


def _unread(path: Path) -> InputError:
    """Why a file that no reader recognises is not read."""
    suffix = path.suffix.lower()
    if suffix in _EXECUTABLE:
        return InputError(f"DATA {path}: {suffix} files can execute code when read; give images, train.npz and test.npz, or a CSV")
    if suffix == ".npy":
        return InputError(f"DATA {path}: is a single array; store x and y with numpy.savez, or give a folder with train.npz")
    if suffix in _ARCHIVES:
        return InputError(f"DATA {path}: unpack the archive and give the folder")
    return InputError(f"DATA {path}: is neither a folder nor a .csv manifest (columns path,label,group,split)")


def _not_there(data: str, path: Path) -> InputError:
    parent = path.parent
    near = ""
    try:
        if parent.is_dir():
            near = nearest(path.name, [p.name for p in parent.iterdir() if p.is_dir() or p.suffix.lower() == ".csv"])
        else:
            near = f" (there is no {parent} either)"
    except OSError:
        pass
    if "/" in data or "\\" in data or path.suffix or data.startswith((".", "~")):
        return InputError(f"DATA {data}: no such folder or file{near}")
    names = registry.names("dataset")
    if near and not nearest(data, names):
        return InputError(f"DATA {data}: no such folder or file{near}")
    return InputError(f"DATA: {registry.unknown('data', data, names)} (nor is there a folder of that name)")
