"""The hash of `augury.core.noise` on tensors: the splitmix64 finaliser in wrapping 64-bit integers."""

from torch import Tensor

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
FIRST = 0xBF58476D1CE4E5B9
SECOND = 0x94D049BB133111EB


def mix_tensor(value: Tensor) -> Tensor:
    value = (value ^ shift(value, 30)) * signed(FIRST)
    value = (value ^ shift(value, 27)) * signed(SECOND)
    return value ^ shift(value, 31)


def shift(value: Tensor, count: int) -> Tensor:
    """A logical right shift; PyTorch's `>>` is arithmetic and keeps the sign."""
    return (value >> count) & ((1 << (64 - count)) - 1)


def signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value
