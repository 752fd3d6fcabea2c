"""Reads weights saved by other tools, without executing anything in the file."""

import argparse
import hashlib
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from augury.core.errors import InputError
from augury.core.files import NotRegularError, open_regular

# The keys under which trainers save the weights; averaged ones first, as in timm.
_KEPT_UNDER = ("state_dict_ema", "model_ema", "state_dict", "model_state_dict", "model", "network", "net", "weights", "teacher")


def read_weights(path: Path, where: str) -> dict[str, Tensor]:
    """The tensors of a .safetensors file, or of a state dict saved by `torch.save`, alone or within a checkpoint.

    where: the flag with its value, for messages. Raises InputError if the file is missing, unreadable or damaged, or holds objects
    that could execute code or no weights.
    """
    try:
        open_regular(path).close()
    except NotRegularError as error:
        raise InputError(f"{where}: is {error.strerror}; give a file of weights") from None
    except OSError as error:
        raise InputError(f"{where}: cannot be read ({error.strerror}); give a file of weights") from None
    found = _safetensors(path, where) if path.suffix == ".safetensors" else _saved(path, where)
    named = {key: value for key, value in found.items() if isinstance(key, str) and isinstance(value, Tensor)}
    if not named:
        raise InputError(f"{where}: holds no named weights; save them with torch.save(model.state_dict(), FILE)")
    return named


def digest(path: Path) -> str:
    """The SHA-256 digest of a file in hexadecimal."""
    found = hashlib.sha256()
    with open_regular(path) as file:
        while part := file.read(1 << 20):
            found.update(part)
    return found.hexdigest()


def _safetensors(path: Path, where: str) -> Mapping[Any, Any]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError):
        raise InputError(f"{where}: damaged, or not a safetensors file; get it from its source again") from None


def _saved(path: Path, where: str) -> Mapping[Any, Any]:
    try:
        # timm's trainer saves its arguments with the weights.
        with torch.serialization.safe_globals([argparse.Namespace]):
            found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        if not _of_torch(path):
            raise _damaged(where) from None
        raise InputError(
            f"{where}: holds more than weights, which could execute code when read; save the weights alone with "
            "torch.save(model.state_dict(), FILE)"
        ) from None
    except (RuntimeError, EOFError, ValueError, KeyError, IndexError, AttributeError, TypeError, OSError):
        raise _damaged(where) from None
    if not isinstance(found, Mapping):
        raise InputError(f"{where}: holds no dictionary of weights; save them with torch.save(model.state_dict(), FILE)")
    inner = next((found[key] for key in _KEPT_UNDER if isinstance(found.get(key), Mapping)), None)
    return found if inner is None else inner


def _of_torch(path: Path) -> bool:
    """Whether a file starts like a zip archive or a pickle, the formats of `torch.save`."""
    with open_regular(path) as file:
        return file.read(2) in (b"PK", b"\x80\x02")


def _damaged(where: str) -> InputError:
    return InputError(f"{where}: damaged, or not written by torch.save or safetensors; get it from its source again")
