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


# PyTorch's compiler for CPUs writes a value out wherever it is used. In the hash each value is used twice, one after the other, so
# that a few addresses took minutes to compile. Operators that it does not look into end that.
@torch.library.custom_op("augury::mix", mutates_args=())
def _opaque(value: Tensor) -> Tensor:
    return mix_tensor(value)


@_opaque.register_fake
def _(value: Tensor) -> Tensor:
    return torch.empty_like(value)


@torch.library.custom_op("augury::absorb", mutates_args=())
def absorb(state: Tensor | None, part: Tensor | None, number: int) -> Tensor:
    """The state of an address after one more part. number: the part, where that is no tensor, or the mixed state."""
    left = number if state is None else mix_tensor(state + signed(GOLDEN))
    right = number if part is None else part.to(torch.int64)
    return mix_tensor(left ^ right)  # type: ignore[arg-type]


@absorb.register_fake
def _(state: Tensor | None, part: Tensor | None, number: int) -> Tensor:
    given = [each for each in (state, part) if each is not None]
    return given[0].new_empty(torch.broadcast_shapes(*(each.shape for each in given)), dtype=torch.int64)


@torch.library.custom_op("augury::bits", mutates_args=())
def counted_bits(key: Tensor, count: int) -> Tensor:
    """int64 [B,count]: random bits of every key."""
    counter = torch.tensor([signed(k * GOLDEN & MASK) for k in range(1, count + 1)], dtype=torch.int64, device=key.device)
    return mix_tensor(key[:, None] + counter)


@counted_bits.register_fake
def _(key: Tensor, count: int) -> Tensor:
    return key.new_empty(len(key), count)


def shift(value: Tensor, count: int) -> Tensor:
    """A logical right shift; PyTorch's `>>` is arithmetic and keeps the sign."""
    return (value >> count) & ((1 << (64 - count)) - 1)


def signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value
