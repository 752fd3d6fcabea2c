"""Pickles objects for other processes; large tensors are in files that every process maps, so that all share their memory."""

import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from augury.core import plugins
from augury.core.errors import RunError
from augury.core.registry import SESSION
from augury.train.pools.pool import Runner, Shared

# A tensor of at least this many bytes is not copied into every process.
LARGE = 1 << 16


class Store(Protocol):
    """Keeps large tensors; `keep` returns the arguments with which `tensor_at` finds one. keys: of the shared values pickled."""

    keys: list[str]

    def keep(self, tensor: Tensor) -> tuple[Any, ...]: ...


@dataclass
class Files:
    """Keeps large tensors as files in a folder."""

    folder: Path
    count: int = 0
    keys: list[str] = field(default_factory=list)

    def keep(self, tensor: Tensor) -> tuple[Any, ...]:
        """Write a tensor; returns its path, dtype and shape. RunError if it cannot be written, as on a full disk."""
        path = str(self.folder / f"tensor-{self.count}")
        self.count += 1
        try:
            tensor.detach().contiguous().numpy().tofile(path)
        except OSError as error:
            raise RunError(
                f"{self.folder}: no room for images that processes share ({error.strerror or error}); free some, set TMPDIR to "
                "another disk, or leave out --workers"
            ) from None
        return path, tensor.dtype, tuple(tensor.shape)


@dataclass
class Arrays:
    """Keeps large tensors as NumPy arrays beside the pickle, for Ray, which stores them once per machine."""

    arrays: list[np.ndarray] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    def keep(self, tensor: Tensor) -> tuple[Any, ...]:
        self.arrays.append(tensor.detach().contiguous().numpy())
        return (len(self.arrays) - 1,)


def mapped(path: str, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    """A tensor mapped from a file. All processes that map it share its memory; a process that writes to it gets private copies."""
    return torch.from_file(path, shared=False, size=int(np.prod(shape)), dtype=dtype).view(shape)


def dumped(value: Any, store: Store) -> bytes:
    """The value's pickle without its large tensors, which go into the store."""
    out = io.BytesIO()
    _Pickler(out, store).dump(value)
    return out.getvalue()


def loaded(content: bytes, tensor_at: Callable[..., Tensor] = mapped, shared_at: Callable[[str], Any] | None = None) -> Any:
    """The inverse of `dumped`. shared_at: returns the value of a `Shared` by its key."""
    return _Unpickler(io.BytesIO(content), tensor_at, shared_at).load()


def packed(runner: Runner[Any, Any], where: str, store: Store) -> bytes:
    """A runner for another process, with the plug-ins that it may use; InputError if one cannot be sent there."""
    plugins.portable(plugins.used_in(runner.settings.dict()), where)
    known = [plugin for plugin in plugins.loaded() if plugin.module != SESSION]
    return pickle.dumps((known, dumped(runner, store)))


def unpacked(content: bytes, tensor_at: Callable[..., Tensor] = mapped) -> Runner[Any, Any]:
    """The inverse of `packed`; loads the plug-ins first."""
    known, inner = pickle.loads(content)
    plugins.restore(known)
    runner: Runner[Any, Any] = loaded(inner, tensor_at)
    return runner


class _Pickler(pickle.Pickler):
    def __init__(self, file: Any, store: Store) -> None:
        super().__init__(file, protocol=5)
        self._store = store
        self._kept: dict[int, tuple[Any, ...]] = {}

    def persistent_id(self, value: Any) -> Any:
        if isinstance(value, Shared) and value.key:
            self._store.keys.append(value.key)
            return ("shared", value.key)
        if type(value) is Tensor and value.device.type == "cpu" and value.nbytes >= LARGE and not value.requires_grad:
            if id(value) not in self._kept:  # ids are unique, since all tensors live while the value is pickled
                self._kept[id(value)] = ("tensor", *self._store.keep(value))
            return self._kept[id(value)]
        return None


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, tensor_at: Callable[..., Tensor], shared_at: Callable[[str], Any] | None) -> None:
        super().__init__(file)
        self._tensor_at = tensor_at
        self._shared_at = shared_at
        self._found: dict[tuple[Any, ...], Tensor] = {}

    def persistent_load(self, found: Any) -> Any:
        kind, *where = found
        if kind == "tensor":
            if found not in self._found:
                self._found[found] = self._tensor_at(*where)
            return self._found[found]
        assert self._shared_at is not None
        return Shared(self._shared_at(where[0]))
