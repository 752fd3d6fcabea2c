"""Selects the back end that executes the records: numba on a CPU, Triton on CUDA, plain PyTorch if those are not installed.

All three give the same bits. `AUGURY_BACKEND=plain`, `numba` or `triton` in the environment selects one. While numba's kernels
are compiled in the background, the plain back end is used.
"""

import functools
import importlib.util
import os

import torch

from augury.augment.forms.backend import Backend
from augury.core import warmup
from augury.core.devices import constant_when_compiled
from augury.core.errors import InputError

NAMES = ("plain", "numba", "triton")


def backend(device: torch.device) -> Backend:
    """The back end for this device. Raises InputError if the selected one is unknown or not installed."""
    name = _name(device.type)
    if name == "triton":
        from augury.augment.forms import triton_backend

        return triton_backend
    if name == "numba":
        from augury.augment.forms import numba_backend

        return numba_backend
    from augury.augment.forms import plain

    return plain


def fuses(images: torch.Tensor) -> bool:
    """Whether compiled kernels apply a whole chain of stages to these images at once. Otherwise stages run one after another,
    with the same result. `AUGURY_FUSE=0` in the environment switches fusing off."""
    if os.environ.get("AUGURY_FUSE") == "0":
        return False
    if torch.compiler.is_compiling() or images.device.type != "cpu" or images.dtype != torch.uint8 or images.numel() == 0:
        return False
    return _name("cpu") == "numba"


@constant_when_compiled
def _name(kind: str) -> str:
    name = os.environ.get("AUGURY_BACKEND") or _by_device(kind)
    if name not in NAMES:
        raise InputError(f"AUGURY_BACKEND: unknown back end {name!r}; choose one of {', '.join(NAMES)}")
    if not available(name):
        raise InputError(f"AUGURY_BACKEND: {name} is not installed; install it or choose plain")
    return name


def _by_device(kind: str) -> str:
    wanted = {"cpu": "numba", "cuda": "triton"}.get(kind, "plain")
    if wanted == "numba" and available(wanted) and not warmup.ready():
        warmup.start("augury.augment.forms.compile")
        return "plain"
    return wanted if available(wanted) else "plain"


@functools.cache
def available(name: str) -> bool:
    """Whether the package that a back end requires is installed."""
    return name == "plain" or importlib.util.find_spec(name) is not None
