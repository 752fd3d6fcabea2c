"""Checkpoints: written atomically, read without executing anything, the one before kept.

One safetensors file holds every tensor (network, optimiser) with the rest as JSON in its header. It is written beside
its place, flushed to the disk and renamed, so that a kill at any moment leaves a whole file.
"""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from augury.core.errors import RunError

NAME, PREVIOUS = "checkpoint.safetensors", "checkpoint.previous.safetensors"


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file as a whole; RunError (with the old file intact) where the disk is full or not writable."""
    temporary = path.with_name(path.name + ".partial")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RunError(f"{path}: cannot be written ({error.strerror}); what stood there before is kept") from None


def write_json(path: Path, value: Any) -> None:
    write_atomically(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def save_checkpoint(directory: Path, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Write the checkpoint, keeping the one before as `checkpoint.previous.safetensors`."""
    packed = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    data = save(packed, metadata={"state": json.dumps(state)})
    current = directory / NAME
    if current.exists():
        os.replace(current, directory / PREVIOUS)
    write_atomically(current, data)


def load_checkpoint(directory: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The newest whole checkpoint, or None where there is none; a damaged one is passed over for the one before."""
    for name in (NAME, PREVIOUS):
        path = directory / name
        if path.exists():
            try:
                return _read(path)
            except (SafetensorError, KeyError, ValueError):
                continue
    return None


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    with safe_open(path, framework="pt") as file:
        state = json.loads(file.metadata()["state"])
        return {name: file.get_tensor(name) for name in file.keys()}, state  # noqa: SIM118 (not a mapping)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's tensors by parameter number and name."""
    state = optimizer.state_dict()["state"]
    return {f"{number}.{key}": v for number, part in state.items() for key, v in part.items() if isinstance(v, Tensor)}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put `optimizer_tensors` back."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, _, key = name.partition(".")
        state.setdefault(int(number), {})[key] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
