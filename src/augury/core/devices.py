"""The differences between a CPU and an accelerator, in one place.

On a CPU, the affected rows are selected and counted, which is cheapest there. On an accelerator, counting would synchronise
with the host, so every row is computed and then masked. After warm-up, no draw and no operation copies from the host.
"""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

from augury.core.errors import InputError

P = ParamSpec("P")
R = TypeVar("R")
_F = TypeVar("_F", bound=Callable[..., Any])
AUGMENTS = ("cpu", "cuda")


def augments(device: torch.device) -> bool:
    """Whether images are drawn for and augmented on this device. Others lack the double precision that makes pixels Pillow's."""
    return device.type in AUGMENTS


def check_augments(device: torch.device) -> None:
    """InputError on a device on which images are not augmented."""
    if not augments(device):
        raise InputError(
            f"images: lie on {device}, and are augmented on {' and '.join(AUGMENTS)} only; augment before moving them: "
            f"pipeline(images.cpu()).to({device.type!r}), or give augury.method(...) the images as they are"
        )


def is_host(device: torch.device) -> bool:
    """True on a CPU outside torch.compile, where reading a value is free."""
    return device.type == "cpu" and not torch.compiler.is_compiling()


def constant_when_compiled(function: _F) -> _F:
    """Mark a function as one whose result PyTorch's compiler takes for a constant of its graph.

    As `torch.compiler.assume_constant_result` does, which imports the whole compiler for it: a second of every command's start.
    """
    vars(function)["_dynamo_marked_constant"] = True
    return function


def as_tensor(value: object) -> Tensor:
    """A tensor, wherever it is; anything else as one on the CPU, whatever `torch.set_default_device` says."""
    return value if isinstance(value, Tensor) else torch.as_tensor(value, device="cpu")


def constant(numbers: object, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The numbers (nested tuples) as a tensor on the device, copied once and cached. Never write into it.

    A copy from the host synchronises and cannot be captured in a CUDA graph, so the first call must come before the capture.
    A compiled graph holds the numbers as constants.
    """
    if torch.compiler.is_compiling():
        return torch.tensor(numbers, dtype=dtype, device=device)
    return _cached_constant(numbers, dtype, device)


def on_the_cpu_by_default(function: Callable[P, R]) -> Callable[P, R]:
    """The function, whose new tensors are made on the CPU where it names no device, whatever `torch.set_default_device` says.

    For long work alone: while another default device is left, every operation costs a little more.
    """

    @functools.wraps(function)
    def run(*given: P.args, **named: P.kwargs) -> R:
        if torch.empty(0).device.type == "cpu":
            return function(*given, **named)
        with torch.device("cpu"):
            return function(*given, **named)

    return run


def counted(count: int, device: torch.device) -> Tensor:
    """0 to count - 1, int64; on a CPU the tensor of before, where the last calls asked for as many. Never write into it."""
    return _cached_count(count) if is_host(device) else torch.arange(count, device=device)


@functools.lru_cache(maxsize=16)
def _cached_count(count: int) -> Tensor:
    with torch.inference_mode(False):
        return torch.arange(count, device="cpu")


@functools.lru_cache(maxsize=4096)
def _cached_constant(numbers: Any, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.tensor(numbers, dtype=dtype, device=device)
