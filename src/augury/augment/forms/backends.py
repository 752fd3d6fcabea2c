"""Selects the back end that executes the records: numba on a CPU, Triton on CUDA, plain PyTorch if those are not installed.

All three give the same bits, which on a GPU is tried before Triton is relied upon. `AUGURY_BACKEND=plain`, `numba` or `triton` in
the environment selects one. While numba's kernels are compiled in the background, the plain back end is used.
"""

import functools
import importlib.util
import logging
import os

import torch

from augury.augment.forms.backend import Backend
from augury.core import warmup
from augury.core.devices import constant_when_compiled
from augury.core.errors import InputError

NAMES = ("plain", "numba", "triton")


def backend(device: torch.device) -> Backend:
    """The back end for this device. Raises InputError if the selected one is unknown or not installed.

    Triton is tried on a few images first, unless it was asked for: once per process and GPU.
    """
    name = _name(device.type)
    if name == "triton" and (_asked() == "triton" or _right(device.type, device.index or 0)):
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
def _asked() -> str | None:
    return os.environ.get("AUGURY_BACKEND")


@constant_when_compiled
def _right(kind: str, index: int) -> bool:
    """Whether Triton's kernels give PyTorch's bits on a device; says once what is wrong where they do not."""
    if kind == "cuda" and torch.cuda.is_current_stream_capturing():
        return True  # a step is recorded after others were made
    return _tried(kind, index)


@functools.cache
def _tried(kind: str, index: int) -> bool:
    from augury.augment.forms import selfcheck, triton_backend

    found = selfcheck.disagreement(triton_backend, torch.device(kind, index))
    if found is not None:
        logging.getLogger("augury").warning(
            f"augury: Triton's kernels are not used on {kind}:{index}, where they do not give the right pixels ({found}); PyTorch "
            "augments there, more slowly, with the right result; `augury doctor` says more"
        )
    return found is None


@constant_when_compiled
def _name(kind: str) -> str:
    name = _asked() or _by_device(kind)
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
