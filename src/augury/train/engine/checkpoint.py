"""Checkpoints: written atomically, with the previous one kept, and read without executing anything.

One safetensors file holds every tensor (network, optimiser), and the other state as JSON in its header. It is written to a
temporary file, flushed to the disk and renamed, so that a kill at any moment leaves a complete file.
"""

import errno
import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from augury.core.errors import InputError, RunError
from augury.core.files import open_regular

# Of the format of a checkpoint's state; older versions can be read.
VERSION = 2
NAME, PREVIOUS, STAGE_ONE = "checkpoint.safetensors", "checkpoint.previous.safetensors", "stage_one.safetensors"


@dataclass(frozen=True)
class Found:
    """A checkpoint that was read. damaged: the name of the newer checkpoint that was damaged, if any."""

    tensors: dict[str, Tensor]
    state: dict[str, Any]
    damaged: str | None = None


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file atomically; RunError, with the old file intact, if the disk is full or not writable."""
    try:
        temporary = _written(path, data)
        os.replace(temporary, path)
        _flush(path.parent)
    except OSError as error:
        raise not_written(path, error) from None


def write_json(path: Path, value: object) -> None:
    write_atomically(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def save_checkpoint(directory: Path, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Write a checkpoint, keeping the previous one as `checkpoint.previous.safetensors`.

    The new one is completely on the disk before anything is renamed, so that one of the two can be read at any moment.
    """
    current = directory / NAME
    try:
        temporary = _written(current, _packed(tensors, state))
        if current.exists():
            os.replace(current, directory / PREVIOUS)
        os.replace(temporary, current)
        _flush(directory)
    except OSError as error:
        raise not_written(current, error) from None


def save_as(path: Path, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Write a checkpoint under a name of its own, which later ones do not replace."""
    write_atomically(path, _packed(tensors, state))


def _packed(tensors: dict[str, Tensor], state: dict[str, Any]) -> bytes:
    packed = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    text = json.dumps({**state, "version": VERSION})
    return save(packed, metadata={"state": text, "checksum": str(_checksum(packed, text))})


def _written(path: Path, data: bytes) -> Path:
    """Write a temporary file beside `path`, flushed to the disk; it is removed if that fails or is interrupted."""
    temporary = path.with_name(path.name + ".partial")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _flush(directory: Path) -> None:
    """Flush the directory, so that a rename survives a power failure; does nothing on systems that do not support it."""
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)


def not_written(path: Path, error: OSError) -> RunError:
    """The error for a run's file that cannot be written."""
    room = "; free some space, then --resume" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
    return RunError(f"{path}: cannot be written ({error.strerror}); the previous file is kept{room}")


def load_checkpoint(directory: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Tensors and state of the newest undamaged checkpoint, see `newest`."""
    found = newest(directory)
    return None if found is None else (found.tensors, found.state)


def newest(directory: Path) -> Found | None:
    """The newest checkpoint, or the previous one if the newest is damaged; None if there is none.

    Raises RunError if there are checkpoints and all are damaged, InputError if one was written by a newer version of Augury.
    """
    damaged: list[str] = []
    for name in (NAME, PREVIOUS):
        if (directory / name).exists():
            found = read(directory / name)
            if found is not None:
                return Found(found.tensors, found.state, damaged[0] if damaged else None)
            damaged.append(name)
    if damaged:
        raise RunError(f"{directory}: {' and '.join(damaged)} damaged; start again with --overwrite")
    return None


def read(path: Path) -> Found | None:
    """Read one checkpoint, executing nothing in it; None if it is damaged. Raises RunError if the file cannot be opened."""
    try:
        open_regular(path).close()
    except OSError as error:  # a file that cannot be opened is not damaged
        raise RunError(f"{path}: cannot be read ({error.strerror}); nothing was changed; make it readable, then --resume") from None
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        text = about["state"]
        state = json.loads(text)
        # Before version 2 the state's text was not part of the checksum.
        known = {str(_checksum(tensors, text)), *([] if "version" in state else [str(_checksum(tensors, None))])}
        if about["checksum"] not in known or set(about) != {"state", "checksum"}:
            return None
    except (SafetensorError, KeyError, ValueError, TypeError, AttributeError, RecursionError, OSError):
        return None
    version = state.get("version", 1)
    if version > VERSION:
        raise InputError(f"{path}: written by a newer version of Augury (format {version}); update Augury to continue with it")
    return Found(tensors, state)


def _checksum(tensors: dict[str, Tensor], state: str | None) -> int:
    """The CRC-32 of the state's text and of all tensors with their names, dtypes and shapes, as bytes on a disk may change."""
    value = 0 if state is None else zlib.crc32(state.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        about = name if state is None else f"{name} {tensor.dtype} {tuple(tensor.shape)}"
        value = zlib.crc32(tensor.flatten().view(torch.uint8).numpy().data, zlib.crc32(about.encode(), value))
    return value


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's tensors by parameter number and name."""
    state = optimizer.state_dict()["state"]
    return {f"{number}.{key}": v for number, part in state.items() for key, v in part.items() if isinstance(v, Tensor)}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Restore an optimiser from `optimizer_tensors`."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, _, key = name.partition(".")
        state.setdefault(int(number), {})[key] = tensor
    rates = [group["lr"] for group in optimizer.param_groups]
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate  # the same tensor object, since a captured step reads it
