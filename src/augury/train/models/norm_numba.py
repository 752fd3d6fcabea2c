"""The kernels of `norm_relu`: bfloat16 maps [B,C,H,W], channels last, on a CPU.

Maps are read as a flat array, in pieces of whole pixels that are long enough for vector instructions whatever the number
of channels. Sums are float32 within a block of pieces and float64 over blocks. A bfloat16 is the upper half of a float32;
results are rounded to nearest, ties to even, as in PyTorch.
"""

from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from torch import Tensor

from augury.core.jit import jit, leaf

PIECE = 256  # numbers at most, unless one pixel has more channels
BLOCK = 64  # pieces summed in float32
ZERO, HALF = np.float32(0), np.uint32(0x7FFF)
SIXTEEN, ONE, NOTHING = np.uint32(16), np.uint32(1), np.uint16(0)


def statistics(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of every channel, float64 [C]."""
    width = _width(maps.shape[1])
    sums = np.zeros((2, width))
    _sums(_row(maps), width, sums[0], sums[1])
    total, square = _by_channel(sums, maps.shape[1]) / (maps.numel() // maps.shape[1])
    return total, (square - total * total).clamp_(min=0)


def normalised(maps: Tensor, shortcut: Tensor | None, scale: Tensor, shift: Tensor) -> Tensor:
    """relu(maps * scale + shift + shortcut), computed in float32; scale and shift [C]."""
    active = torch.empty_like(maps)
    added = maps if shortcut is None else shortcut
    _normalise(_row(maps), _row(added), _row(active), _spread(scale), _spread(shift), shortcut is not None)
    return active


def gradient_sums(maps: Tensor, active: Tensor, gradient: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
    """Per channel, float64 [C]: the sums of gradient and of gradient * (maps - mean), over positions where ReLU is active."""
    width = _width(maps.shape[1])
    sums = np.zeros((2, width))
    _gradient_sums(_row(maps), _row(active), _row(gradient), _spread(mean), sums[0], sums[1])
    total, product = _by_channel(sums, maps.shape[1])
    return total, product


def gradients(
    maps: Tensor, active: Tensor, gradient: Tensor, scale: Tensor, slope: Tensor, offset: Tensor, *, shortcut: bool
) -> tuple[Tensor, Tensor | None]:
    """scale * gradient - slope * maps - offset, with gradient 0 where `active` is 0; and the shortcut's gradient if `shortcut`."""
    found = torch.empty_like(maps)
    passed = torch.empty_like(maps) if shortcut else None
    rows = (_row(maps), _row(active), _row(gradient), _row(found), _row(found if passed is None else passed))
    _gradients(*rows, _spread(scale), _spread(slope), _spread(offset), shortcut)
    return found, passed


def _width(channels: int) -> int:
    return channels * max(1, PIECE // channels)


def _row(maps: Tensor) -> Any:
    """uint16: the bits of the maps in memory order."""
    return maps.detach().permute(0, 2, 3, 1).reshape(-1).view(torch.uint16).numpy()


def _spread(values: Tensor) -> Any:
    """float32: the channels' values, repeated to the length of a piece."""
    return values.detach().float().repeat(max(1, PIECE // len(values))).numpy()


def _by_channel(sums: Any, channels: int) -> Tensor:
    return torch.from_numpy(sums).reshape(2, -1, channels).sum(1)


def _bitcast(source: Any, target: Any, kind: Any) -> Any:
    """A numba function that reinterprets the bits of a number as another type, at no cost at run time."""

    def typed(context: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.bitcast(arguments[0], kind)

        return target(source), generate

    return intrinsic(typed)


_as_float: Any = _bitcast(types.uint32, types.float32, ir.FloatType())
_as_bits: Any = _bitcast(types.float32, types.uint32, ir.IntType(32))


@leaf
def _wide(half: Any) -> Any:
    return _as_float(np.uint32(half) << SIXTEEN)


@leaf
def _narrow(value: Any) -> Any:
    bits = _as_bits(value)
    return np.uint16((bits + HALF + ((bits >> SIXTEEN) & ONE)) >> SIXTEEN)


@jit
def _sums(maps: Any, width: Any, total: Any, square: Any) -> None:
    ones, squares = np.zeros(width, np.float32), np.zeros(width, np.float32)
    for start in range(0, len(maps), BLOCK * width):
        ones[:], squares[:] = ZERO, ZERO
        for first in range(start, min(len(maps), start + BLOCK * width), width):
            piece = maps[first : first + width]
            for place in range(len(piece)):
                value = _wide(piece[place])
                ones[place] += value
                squares[place] += value * value
        for place in range(width):
            total[place] += ones[place]
            square[place] += squares[place]


@jit
def _normalise(maps: Any, shortcut: Any, active: Any, scale: Any, shift: Any, adds: Any) -> None:
    width = len(scale)
    for first in range(0, len(maps), width):
        piece, made = maps[first : first + width], active[first : first + width]
        if adds:
            added = shortcut[first : first + width]
            for place in range(len(piece)):
                value = _wide(piece[place]) * scale[place] + shift[place] + _wide(added[place])
                made[place] = _narrow(ZERO if value <= ZERO else value)  # NaN stays NaN
        else:
            for place in range(len(piece)):
                value = _wide(piece[place]) * scale[place] + shift[place]
                made[place] = _narrow(ZERO if value <= ZERO else value)


@jit
def _gradient_sums(maps: Any, active: Any, gradient: Any, mean: Any, total: Any, product: Any) -> None:
    width = len(mean)
    ones, products = np.zeros(width, np.float32), np.zeros(width, np.float32)
    for start in range(0, len(maps), BLOCK * width):
        ones[:], products[:] = ZERO, ZERO
        for first in range(start, min(len(maps), start + BLOCK * width), width):
            piece, on, slopes = maps[first : first + width], active[first : first + width], gradient[first : first + width]
            for place in range(len(piece)):
                value = _wide(slopes[place] if on[place] > NOTHING else NOTHING)
                ones[place] += value
                products[place] += value * (_wide(piece[place]) - mean[place])
        for place in range(width):
            total[place] += ones[place]
            product[place] += products[place]


@jit
def _gradients(
    maps: Any, active: Any, gradient: Any, found: Any, passed: Any, scale: Any, slope: Any, offset: Any, passes: Any
) -> None:
    width = len(scale)
    for first in range(0, len(maps), width):
        piece, on, slopes = maps[first : first + width], active[first : first + width], gradient[first : first + width]
        made = found[first : first + width]
        if passes:
            kept = passed[first : first + width]
            for place in range(len(piece)):
                half = slopes[place] if on[place] > NOTHING else NOTHING
                kept[place] = half
                made[place] = _narrow(scale[place] * _wide(half) - slope[place] * _wide(piece[place]) - offset[place])
        else:
            for place in range(len(piece)):
                half = slopes[place] if on[place] > NOTHING else NOTHING
                made[place] = _narrow(scale[place] * _wide(half) - slope[place] * _wide(piece[place]) - offset[place])
