"""A chain of stages on a CPU by one compiled kernel: every image is read once and written once, as the network takes it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from augury.augment.forms import numba_chain
from augury.augment.forms.memory import Buffers
from augury.augment.forms.packing import Piece, packed, packed_pixels
from augury.augment.forms.records import BFLOAT16, BOTH, FINISH, FLOAT16, FLOAT32, PIXELS, UINT8
from augury.augment.forms.threads import in_parts

KINDS = {torch.uint8: UINT8, torch.float32: FLOAT32, torch.bfloat16: BFLOAT16, torch.float16: FLOAT16}
_ONE = torch.ones(1)


@dataclass(frozen=True)
class Finish:
    """What a chain writes. coefficients: float32 [C] each, a factor and a summand, where pixels become values of `dtype`;
    channels_last: in memory, the shape is [B,C,H,W] all the same."""

    coefficients: tuple[Tensor, Tensor] | None = None
    dtype: torch.dtype = torch.float32
    channels_last: bool = False

    @property
    def written(self) -> torch.dtype:
        return torch.uint8 if self.coefficients is None else self.dtype


def chain(
    images: Tensor, size: Tensor, pieces: Sequence[Piece], finish: Finish, buffers: Buffers, out: Tensor | None = None
) -> Tensor:
    """uint8 [B,C,H,W] through the pieces' slots, and normalised where `finish` says so; only the last piece may read partners.

    out: where the result goes, of its shape, dtype and layout; it may be `images` itself.
    """
    source, joint = images.contiguous(), bool(pieces) and pieces[-1].joint
    on_pixels = sum(piece.slots for piece in pieces if not piece.on_values)
    run = _Run(source, size.contiguous().numpy(), *packed(pieces, size), on_pixels, joint, finish)
    result = out
    if result is None or (joint and result.data_ptr() == source.data_ptr()):  # others still read what it would write over
        result = _result(source.shape, finish, buffers)
    if not joint:
        run(BOTH, run.images, result)
    elif not any(piece.alone for piece in pieces if not piece.on_values):
        run(FINISH, run.images, result)
    else:
        work = buffers.empty(source.numel(), torch.uint8).view(source.shape).numpy()
        run(PIXELS, work, result)
        run(FINISH, work, result)
    return result if out is None or result is out else out.copy_(result)


def pixels(images: Tensor, size: Tensor, form: Tensor, *parts: Tensor | None) -> Tensor:
    """Warp, table and blend of every slot in turn, as new uint8 [B,C,H,W]; parts: those of augury.augment.forms.operators."""
    source = images.contiguous()
    whole, real = packed_pixels(form, parts)
    result = _result(source.shape, Finish(), Buffers())
    run = _Run(source, size.contiguous().numpy(), whole, real, whole.shape[1], False, Finish())
    run(BOTH, run.images, result)
    return result


class _Run:
    """The kernel with what all its calls for a batch share."""

    def __init__(
        self, source: Tensor, size: np.ndarray, whole: np.ndarray, real: np.ndarray, on_pixels: int, joint: bool, finish: Finish
    ) -> None:
        self.source, self.images, self.finish = source, source.numpy(), finish
        scale, shift = (part.contiguous().numpy() for part in finish.coefficients or (_ONE, _ONE))
        self.records = (size, whole, real, on_pixels, whole.shape[1] - 1 if joint else -1)
        self.values = (scale, shift, KINDS[finish.written], finish.channels_last)
        self.row_bytes = source[0].numel() * (2 + whole.shape[1] + finish.written.itemsize)

    def __call__(self, part: int, work: np.ndarray, result: Tensor) -> None:
        """The part of the work for all rows; `work`: where PIXELS writes and FINISH reads."""
        in_place = result.data_ptr() == self.source.data_ptr()
        outs = _flat(result, self.finish.channels_last)

        def rows(start: int, stop: int) -> None:
            numba_chain.chain(self.images, *self.records, part, in_place, work, *self.values, *outs, start, stop)

        in_parts(rows, len(self.images), self.row_bytes)


def _result(shape: torch.Size, finish: Finish, buffers: Buffers) -> Tensor:
    count, channels, height, width = shape
    flat = buffers.empty(shape.numel(), finish.written)
    if finish.channels_last:
        return flat.view(count, height, width, channels).permute(0, 3, 1, 2)
    return flat.view(shape)


def _flat(result: Tensor, channels_last: bool) -> list[np.ndarray]:
    """The result's memory, [B, C*H*W], as uint8, uint16 and float32, of which one is not empty."""
    count = len(result)
    lines = (result.permute(0, 2, 3, 1) if channels_last else result).view(count, -1)
    lines = lines.view(torch.int16) if lines.dtype in (torch.bfloat16, torch.float16) else lines
    array = lines.numpy()
    array = array.view(np.uint16) if array.dtype == np.int16 else array
    return [array if array.dtype == kind else np.empty((count, 0), kind) for kind in (np.uint8, np.uint16, np.float32)]
