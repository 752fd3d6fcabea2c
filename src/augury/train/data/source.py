"""Resolves DATA to a folder, arrays, a manifest or a hub data set; anything else is refused with the nearest name."""

import errno
import os
from dataclasses import replace
from pathlib import Path

from augury.core import registry
from augury.core.errors import InputError
from augury.core.files import kind_of
from augury.core.text import shortened
from augury.train.data.folder import read_folder
from augury.train.data.manifest import read_manifest
from augury.train.data.market import is_market, read_market
from augury.train.data.npz import read_npz
from augury.train.data.parts import Parts
from augury.train.data.preparation import ReadOptions
from augury.train.data.words import nearest

_EXECUTABLE = (".pt", ".pth", ".pkl", ".pickle", ".joblib", ".ckpt")
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")


def read(data: str, data_dir: str | None, options: ReadOptions) -> Parts:
    """The parts of whatever `data` names beside the registered names."""
    if data.startswith("hf:"):
        from augury.train.data.huggingface import read_hub

        return read_hub(data, data_dir, options)
    path = Path(data).expanduser()
    try:
        if path.is_dir():
            return replace(_read_directory(path, options), place=Path(os.path.abspath(path)))
        if path.is_file():
            return replace(_read_file(path, options), place=Path(os.path.abspath(path)))
    except PermissionError as error:
        raise InputError(f"DATA {error.filename or data}: may not be read (permission denied); change its permissions") from None
    except (ValueError, OSError) as error:
        if isinstance(error, InputError) or (isinstance(error, OSError) and error.errno != errno.ENAMETOOLONG):
            raise
        raise InputError(f"DATA {shortened(repr(data))}: is no path ({error})") from None
    kind = _kind(path)
    if kind:
        raise InputError(f"DATA {path}: is {kind}; give a folder, or a .csv manifest")
    raise _not_there(data, path)


def _kind(path: Path) -> str:
    """What lies there, where it is neither a file nor a folder."""
    try:
        return kind_of(path.stat().st_mode)
    except (OSError, ValueError):
        return ""


def _read_directory(path: Path, options: ReadOptions) -> Parts:
    if is_market(path):
        return read_market(path, options)
    arrays = (path / "train.npz").exists()
    if arrays and (path / "train").is_dir():
        raise InputError(f"DATA {path}: holds both train/ and train.npz; move one of them away")
    return read_npz(path, options) if arrays else read_folder(path, options)


def _read_file(path: Path, options: ReadOptions) -> Parts:
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return read_manifest(path, options)
    if suffix in _EXECUTABLE:
        raise InputError(f"DATA {path}: {suffix} files can execute code when read; give images, train.npz and test.npz, or a CSV")
    if suffix in (".npz", ".npy"):
        raise InputError(f"DATA {path}: give a folder that holds train.npz and test.npz, not one file")
    if suffix in _ARCHIVES:
        raise InputError(f"DATA {path}: unpack the archive and give the folder")
    raise InputError(f"DATA {path}: is neither a folder nor a .csv manifest (columns path,label,group,split)")


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
