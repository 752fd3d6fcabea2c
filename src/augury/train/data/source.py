"""What DATA is: a folder, arrays, a manifest or a hub data set; everything else is refused with the nearest name."""

from pathlib import Path

from augury.core import registry
from augury.core.errors import InputError
from augury.train.data.folder import read_folder
from augury.train.data.manifest import read_manifest
from augury.train.data.market import is_market, read_market
from augury.train.data.npz import read_npz
from augury.train.data.parts import Parts
from augury.train.data.resize import Sizing
from augury.train.data.stream import Stream
from augury.train.data.words import nearest

_EXECUTABLE = (".pt", ".pth", ".pkl", ".pickle", ".joblib", ".ckpt")
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")


def read(data: str, data_dir: str | None, sizing: Sizing, stream: Stream = "no") -> Parts:
    """The parts of whatever `data` names beside the registered names."""
    if data.startswith("hf:"):
        from augury.train.data.huggingface import read_hub

        return read_hub(data, data_dir, sizing, stream)
    path = Path(data).expanduser()
    try:
        if path.is_dir():
            return _read_directory(path, sizing, stream)
        if path.is_file():
            return _read_file(path, sizing, stream)
    except PermissionError as error:
        raise InputError(f"DATA {error.filename or data}: may not be read (permission denied); change its permissions") from None
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"DATA {data!r}: is no path ({error})") from None
    raise _not_there(data, path)


def _read_directory(path: Path, sizing: Sizing, stream: Stream = "no") -> Parts:
    if is_market(path):
        return read_market(path, sizing)
    arrays = (path / "train.npz").exists()
    if arrays and (path / "train").is_dir():
        raise InputError(f"DATA {path}: holds both train/ and train.npz; move one of them away")
    return read_npz(path, sizing) if arrays else read_folder(path, sizing, stream)


def _read_file(path: Path, sizing: Sizing, stream: Stream = "no") -> Parts:
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return read_manifest(path, sizing, stream)
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
