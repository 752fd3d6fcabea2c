"""The hash of `augury.core.noise` on tensors: the splitmix64 finaliser in wrapping 64-bit integers."""

import torch
from torch import Tensor

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
FIRST = 0xBF58476D1CE4E5B9
SECOND = 0x94D049BB133111EB


def mix_tensor(value: Tensor) -> Tensor:
    if torch.compiler.is_compiling() and value.device.type == "cpu":
        return _opaque(value)
    value = (value ^ shift(value, 30)) * signed(FIRST)
    value = (value ^ shift(value, 27)) * signed(SECOND)
    return value ^ shift(value, 31)


# PyTorch's compiler for CPUs writes a value out wherever it is used. Here each is used twice, one after the other, so that
# a few addresses took minutes to compile; an operator it does not look into ends that.
@torch.library.custom_op("augury::mix", mutates_args=())
def _opaque(value: Tensor) -> Tensor:
    return mix_tensor(value)


@_opaque.register_fake
def _(value: Tensor) -> Tensor:
    return torch.empty_like(value)


def shift(value: Tensor, count: int) -> Tensor:
    """A logical right shift; PyTorch's `>>` is arithmetic and keeps the sign."""
    return (value >> count) & ((1 << (64 - count)) - 1)


def signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value
