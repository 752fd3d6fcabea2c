"""The weight files that a run starts from: their hashes are kept, so that it is not resumed with others."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from augury.core.errors import InputError
from augury.train.engine.settings import PRETRAINED_FILES
from augury.train.models.run_folders import no_run

_WEIGHTS = "model.safetensors"
_ENDINGS = (".pt", ".pth", ".safetensors", ".bin", ".ckpt", ".tar")


def parts_of(text: object) -> list[str]:
    """The weights that `--pretrained` names: one for all networks, or one for each, separated by commas."""
    if not isinstance(text, str) or not text.strip():
        return []
    return [text] if _there(Path(text).expanduser()) else [part.strip() for part in text.split(",")]


def file_of(text: str, where: str) -> Path | None:
    """The weight file that a text names, or that of the run in a folder; None if the text can only be a published name.

    Raises InputError for a path that does not exist, and for a folder without a finished run.
    """
    path = Path(text).expanduser()
    if path.is_dir():
        if not (path / _WEIGHTS).is_file():
            raise no_run(path, where, ", or a file of weights")
        return path / _WEIGHTS
    if _there(path):
        return path
    if "/" in text or "\\" in text or path.suffix.lower() in _ENDINGS:
        raise InputError(f"{where}: no such file or folder")
    return None


def hashes(config: Mapping[str, object]) -> dict[str, str]:
    """The SHA-256 hash of every weight file that settings name, by its name as written; missing files are left out."""
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
    """Settings with the names of weight files replaced by their hashes, so that the same weights in another place are equal."""
    parts = parts_of(config.get("pretrained"))
    if not any(part in files for part in parts):
        return dict(config)
    return {**config, "pretrained": ",".join(files.get(part, part) for part in parts)}


def refuse_changed(kept: Mapping[str, str] | None, now: Mapping[str, str], where: str) -> None:
    """InputError naming a weight file whose hash is no longer the one that was kept."""
    for name, known in (kept or {}).items():
        if now.get(name, known) != known:
            raise InputError(f"{where}: the weights {name} are not those it was started from; put them back")


def kept_hashes(config: Mapping[str, object]) -> dict[str, str]:
    """The hashes of weight files in config.yaml."""
    found = config.get(PRETRAINED_FILES)
    return dict(found) if isinstance(found, Mapping) else {}


def _there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


@functools.lru_cache(maxsize=32)
def _hash(file: Path, changed: int, size: int) -> str:
    """The file's hash. changed, size: the file's, so that a file that was replaced is hashed again."""
    from augury.train.models.weights_file import digest

    return digest(file)
