"""The files of weights that a run starts from: their hashes are kept, so that it is not resumed from others."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from augury.core.errors import InputError
from augury.train.engine.settings import PRETRAINED_FILES

_WEIGHTS = "model.safetensors"
_ENDINGS = (".pt", ".pth", ".safetensors", ".bin", ".ckpt", ".tar")


def parts_of(text: object) -> list[str]:
    """What `--pretrained` names, one for each network."""
    if not isinstance(text, str) or not text.strip():
        return []
    return [text] if _there(Path(text).expanduser()) else [part.strip() for part in text.split(",")]


def file_of(text: str, where: str) -> Path | None:
    """The file of weights that a text names, that of a run for its folder; None for what can only be a published name.

    Raises InputError for a path where nothing is, and for a folder without a finished run.
    """
    path = Path(text).expanduser()
    if path.is_dir():
        if not (path / _WEIGHTS).is_file():
            raise InputError(f"{where}: no finished run here; give the --output folder of `augury train`, or a file of weights")
        return path / _WEIGHTS
    if _there(path):
        return path
    if "/" in text or "\\" in text or path.suffix.lower() in _ENDINGS:
        raise InputError(f"{where}: no such file or folder")
    return None


def hashes(config: Mapping[str, object]) -> dict[str, str]:
    """The SHA-256 sum of every file of weights that settings name, by its name as it was written; files that are not there are
    left out."""
    found = {}
    for text in parts_of(config.get("pretrained")):
        try:
            file = file_of(text, "--pretrained")
            if file is not None:
                about = file.stat()
                found[text] = _hash(file, about.st_mtime_ns, about.st_size)
        except (OSError, ValueError):
            continue
    return found


def by_hash(config: Mapping[str, object], files: Mapping[str, str]) -> dict[str, Any]:
    """Settings with the names of files of weights replaced by their hashes: equal for the same weights in another place."""
    parts = parts_of(config.get("pretrained"))
    if not any(part in files for part in parts):
        return dict(config)
    return {**config, "pretrained": ",".join(files.get(part, part) for part in parts)}


def refuse_changed(kept: Mapping[str, str] | None, now: Mapping[str, str], where: str) -> None:
    """InputError naming a file of weights that is no longer the one of a kept hash."""
    for name, known in (kept or {}).items():
        if now.get(name, known) != known:
            raise InputError(f"{where}: the weights {name} are not those it was started from; put them back")


def kept_hashes(config: Mapping[str, object]) -> dict[str, str]:
    """What config.yaml keeps of the files of weights."""
    found = config.get(PRETRAINED_FILES)
    return dict(found) if isinstance(found, Mapping) else {}


def _there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


@functools.lru_cache(maxsize=32)
def _hash(file: Path, changed: int, size: int) -> str:
    """changed, size: the file's, so that another file of the name is read anew."""
    from augury.train.models.weights_file import digest

    return digest(file)
