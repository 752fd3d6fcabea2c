"""Which back end executes the records: numba on a CPU, Triton on CUDA, plain PyTorch where they are absent.

All three give the same bits. `AUGURY_BACKEND=plain`, `numba` or `triton` in the environment asks for one.
"""

import functools
import importlib.util
import os
from types import ModuleType

import torch

from augury.core.errors import InputError

NAMES = ("plain", "numba", "triton")


def backend(device: torch.device) -> ModuleType:
    """The module whose `pixels` and `regions` run on this device. Raises InputError for an unknown or absent one."""
    return _module(os.environ.get("AUGURY_BACKEND") or _by_device(device.type))


def _by_device(kind: str) -> str:
    wanted = {"cpu": "numba", "cuda": "triton"}.get(kind, "plain")
    return wanted if available(wanted) else "plain"


@functools.cache
def available(name: str) -> bool:
    """Whether the package a back end stands on is installed."""
    return name == "plain" or importlib.util.find_spec(name) is not None


@functools.cache
def _module(name: str) -> ModuleType:
    if name not in NAMES:
        raise InputError(f"AUGURY_BACKEND: unknown back end {name!r}; choose one of {', '.join(NAMES)}")
    if not available(name):
        raise InputError(f"AUGURY_BACKEND: {name} is not installed; install it or choose plain")
    module = {"plain": "plain", "numba": "numba_backend", "triton": "triton_backend"}[name]
    return importlib.import_module(f"augury.augment.forms.{module}")
