"""A chain of stages on a CPU: a few images at a time pass through all stages while in the cache, and are written once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from augury.augment.forms import numba_finish, numba_kernels, numba_regions, numba_resize
from augury.augment.forms.lowered import Lowered
from augury.augment.forms.memory import Buffers
from augury.augment.forms.operators import pixel_records
from augury.augment.forms.packing import Piece, packed
from augury.augment.forms.records import BFLOAT16, FLOAT16, FLOAT32, PARTNER, UINT8
from augury.augment.forms.separable import check_windows
from augury.augment.forms.threads import in_parts
from augury.core.openmp import OneThread

KINDS = {torch.uint8: UINT8, torch.float32: FLOAT32, torch.bfloat16: BFLOAT16, torch.float16: FLOAT16}
CACHED_BYTES = 1 << 20  # of pixels that are taken through a chain together
ALONE_BYTES = 1 << 15  # of an image that the kernels are called for alone
TURNS = 256  # images of a batch that is mixed in turn by several threads, at least
FAR_BYTES = 8 << 20  # a larger result does not stay in a core's caches, and is written past them
_ONE = torch.ones(1, dtype=torch.float32, device="cpu")


@dataclass(frozen=True)
class Pass:
    """run: takes rows start..stop of a batch, which the first array has, into the second. in_place: the two may be the same."""

    run: Callable[[np.ndarray, np.ndarray, int, int], None]
    in_place: bool = False


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

    @property
    def plain(self) -> bool:
        """Whether it is pixels as the passes leave them."""
        return self.written == torch.uint8 and not self.channels_last


def chain(
    images: Tensor, size: Tensor, pieces: Sequence[Piece], finish: Finish, buffers: Buffers, out: Tensor | None = None
) -> Tensor:
    """uint8 [B,C,H,W] through the pieces' slots, and normalised where `finish` says so; only the last piece may read partners.

    out: where the result goes, of its shape, dtype and layout; it may be `images` itself.
    """
    return prepared(size, pieces, finish, len(images)).run(images, buffers, out)


def prepared(size: Tensor, pieces: Sequence[Piece], finish: Finish, count: int) -> "Prepared":
    """The pieces' records for `count` images of valid `size` as arrays, for the kernels."""
    sides = size.contiguous().numpy()
    last = [piece for piece in pieces if piece.on_values or piece.joint]
    with OneThread():
        passes = _passes([piece for piece in pieces if not piece.on_values], sides, size)
        whole, real = packed(last, count)
    scale, shift = (part.contiguous().numpy() for part in finish.coefficients or (_ONE, _ONE))
    return Prepared(passes, whole, real, bool(pieces) and pieces[-1].joint, scale, shift, finish)


@dataclass(frozen=True)
class Prepared:
    """A chain's records as arrays. passes: over pixels, in order. whole, real: the slots that are painted on values, or that read
    other images (joint: the last one does). scale, shift: float32 [C]."""

    passes: list[Pass]
    whole: np.ndarray
    real: np.ndarray
    joint: bool
    scale: np.ndarray
    shift: np.ndarray
    finish: Finish

    def run(self, images: Tensor, buffers: Buffers, out: Tensor | None = None, first: int = 0) -> Tensor:
        """The images by the records from `first` on, one for each image."""
        source, finish, passes = images.contiguous(), self.finish, self.passes
        count, read, result = source.shape[0], source.numpy(), out
        if result is None or (self.joint and result.data_ptr() == source.data_ptr()):  # others still read what it would write over
            result = _result(source.shape, finish, buffers)
        joint, outs = self.whole.shape[1] - 1 if self.joint else -1, _flat(result, finish.channels_last)
        how = KINDS[result.dtype], finish.channels_last, result.nbytes > FAR_BYTES
        whole, real = self.whole[first : first + count], self.real[first : first + count]
        values = (whole, real, joint, self.scale, self.shift, *how, *outs)
        row_bytes = read[0].size * (2 + len(passes) + result.itemsize)

        def finished(work: np.ndarray, place: np.ndarray, base: int, start: int, stop: int) -> None:
            numba_finish.finish(work, place, base, *values, start, stop)

        if not self.joint:
            in_parts(_through(read, passes, first, result.numpy() if finish.plain else None, finished), count, row_bytes)
            return result
        cycle = _cycle(whole[:, -1, PARTNER]) if passes and _in_turn_pays(read) else None
        if cycle is not None:
            in_parts(_in_turn(read, passes, first, cycle, finished), count, row_bytes)
        else:
            work = read
            if passes:
                work = buffers.empty(source.shape, torch.uint8).numpy()
                in_parts(_through(read, passes, first, work, None), count, row_bytes)
            in_parts(lambda start, stop: finished(work, np.arange(count), 0, start, stop), count, row_bytes)
        return result if out is None or result is out else out.copy_(result)


# Pixels, where rows lie in them, counted from the row of the third argument, and the rows to finish.
_Finished = Callable[[np.ndarray, np.ndarray, int, int, int], None]


def _through(
    read: np.ndarray, passes: list[Pass], offset: int, target: np.ndarray | None, finished: _Finished | None
) -> Callable[[int, int], None]:  # fmt: skip
    """Rows through all passes, whose records begin at `offset`, a few at a time, into `target` or to be `finished`."""
    most = max(1, CACHED_BYTES // max(1, read[0].size))

    def rows(start: int, stop: int) -> None:
        if len(passes) == 1 and target is not None and (passes[0].in_place or not np.may_share_memory(read, target)):
            passes[0].run(read[start:stop], target[start:stop], offset + start, offset + stop)
            return
        scratch = np.empty((2, min(most, stop - start), *read.shape[1:]), np.uint8) if passes else read[None]
        for first in range(start, stop, most):
            last = min(first + most, stop)
            into = None if target is None else target[first:last]
            here = _passed(read[first:last], passes, offset + first, scratch, into)
            if target is None:
                assert finished is not None
                finished(here, np.arange(last - first), first, first, last)
            elif not passes or np.may_share_memory(scratch, here):
                target[first:last] = here

    return rows


def _cycle(partner: np.ndarray) -> list[int] | None:
    """All rows, each followed by its partner and the last one's partner the first; None if they are no such cycle."""
    follows, cycle = partner.tolist(), [0]
    while (row := follows[cycle[-1]]) != 0 and len(cycle) < len(follows):
        cycle.append(row)
    return cycle if len(cycle) == len(follows) and row == 0 else None


def _in_turn_pays(images: np.ndarray) -> bool:
    """Whether images take longer than calling the kernels for each alone. On several threads, which make one image more for each of
    their pieces, whether pieces are large as well."""
    return images[0].size >= ALONE_BYTES and (torch.get_num_threads() == 1 or len(images) >= TURNS)


def _in_turn(
    read: np.ndarray, passes: list[Pass], offset: int, cycle: list[int], finished: _Finished
) -> Callable[[int, int], None]:  # fmt: skip
    """Images one after another, each followed by its partner, so that a mix finds both of them in the cache."""

    def rows(start: int, stop: int) -> None:
        pixels, place = np.empty((2, *read.shape[1:]), np.uint8), np.zeros(len(read), np.int64)
        here, scratch = 0, np.empty((2, 1, *read.shape[1:]), np.uint8)
        _passed(read[cycle[start]][None], passes, offset + cycle[start], scratch, pixels[:1])
        for k in range(start, stop):
            own, other = cycle[k], cycle[(k + 1) % len(cycle)]
            _passed(read[other][None], passes, offset + other, scratch, pixels[1 - here : 2 - here])
            place[own], place[other] = here, 1 - here
            finished(pixels, place, 0, own, own + 1)
            here = 1 - here

    return rows


def _passed(
    here: np.ndarray, passes: list[Pass], first: int, scratch: np.ndarray, target: np.ndarray | None
) -> np.ndarray:  # fmt: skip
    """Where images are after all passes, whose records for them begin at `first`: in `target` if the last one can write there."""
    for number, each in enumerate(passes):
        into = scratch[number % 2][: len(here)]
        if target is not None and number == len(passes) - 1 and (each.in_place or not np.may_share_memory(here, target)):
            into = target
        each.run(here, into, first, first + len(here))
        here = into
    return here


def _passes(pieces: Sequence[Piece], sides: np.ndarray, size: Tensor) -> list[Pass]:
    """The passes of stages over pixels, in order. Neighbours that are warps, tables and blends alone make one pass."""
    found: list[Pass] = []
    together: list[Lowered] = []
    for piece in pieces:
        lowered = piece.lowered
        if lowered.region is None and not any(lowered.subsets):
            together.append(lowered)
            continue
        found += _pixels(together, sides)
        together = []
        for number in range(piece.slots):
            slot = lowered.slot(number)
            found += _pixels([slot], sides) + _resizes(slot, sides, size)
            if slot.region is not None and piece.box is not None and not piece.joint:
                found.append(_regions(slot, piece.box[:, number]))
    return found + _pixels(together, sides)


def _pixels(stages: Sequence[Lowered], sides: np.ndarray) -> list[Pass]:
    """One pass over the slots of some stages, none if nothing is to do."""
    stages = [each for each in stages if not (each.warp is None and each.table is None and each.blend is None)]
    if not stages:
        return []
    slots = [each.form.shape[1] for each in stages]
    records = [_side_by_side(parts, slots) for parts in zip(*map(pixel_records, stages), strict=True)]
    there = [absent if part is None else part for part, absent in zip(records, _ABSENT, strict=True)]
    arrays = (sides, _array(torch.cat([each.form for each in stages], 1)), *there)
    kernel = cast(Callable[..., None], numba_kernels.pixels)

    def run(images: np.ndarray, out: np.ndarray, start: int, stop: int) -> None:
        kernel(images, out, *arrays, start, 0, stop - start)

    return [Pass(run)]


def _side_by_side(parts: Sequence[Tensor | None], slots: Sequence[int]) -> np.ndarray | None:
    """One part [B,S,...] of the records of stages with so many slots each, None if no stage has it; zeros, which are not read,
    stand for a stage that does not."""
    there = next((part for part in parts if part is not None), None)
    if there is None:
        return None
    none = torch.zeros_like(there[:, :1])
    every = [none.expand(-1, count, *none.shape[2:]) if part is None else part for part, count in zip(parts, slots, strict=True)]
    return _array(torch.cat(every, 1) if len(every) > 1 else there)


def _resizes(lowered: Lowered, sides: np.ndarray, size: Tensor) -> list[Pass]:
    if not lowered.subsets[0]:
        return []
    kernel, window = np.zeros(len(sides), np.int64), np.zeros((len(sides), 4))
    for item in lowered.subsets[0]:
        assert item.rows is not None, "on a CPU rows are picked"
        record, rows = item.op.lower(item.values, size[item.rows]), item.rows.numpy()
        check_windows(record, size[item.rows])
        kernel[rows], window[rows] = int(record.kernel), torch.cat([record.rows, record.columns], 1).numpy()

    def run(images: np.ndarray, out: np.ndarray, start: int, stop: int) -> None:
        numba_resize.resize(images, out, kernel[start:stop], window[start:stop], sides[start:stop], 0, stop - start)

    return [Pass(run)]


def _regions(lowered: Lowered, box: Tensor) -> Pass:
    assert lowered.region is not None
    content, fill, pattern, grid = (_array(part[:, 0]) for part in lowered.region)
    paint, boxes = fill.astype(np.uint8), _array(box)

    def run(images: np.ndarray, out: np.ndarray, start: int, stop: int) -> None:
        here = slice(start, stop)
        own = np.arange(stop - start)
        parts = (content[here], paint[here], pattern[here], grid[here], boxes[here])
        numba_regions.regions(images, out, own, *parts, images.ctypes.data == out.ctypes.data, 0, stop - start)

    return Pass(run, in_place=True)


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.contiguous().numpy()


def _result(shape: torch.Size, finish: Finish, buffers: Buffers) -> Tensor:
    count, channels, height, width = shape
    if finish.channels_last:
        return buffers.empty((count, height, width, channels), finish.written).permute(0, 3, 1, 2)
    return buffers.empty(shape, finish.written)


def _flat(result: Tensor, channels_last: bool) -> list[np.ndarray]:
    """The result's memory, [B, C*H*W], as uint8, uint16 and float32, of which one is not empty."""
    count = result.shape[0]
    lines = (result.permute(0, 2, 3, 1) if channels_last else result).view(count, -1)
    lines = lines.view(torch.int16) if lines.dtype in (torch.bfloat16, torch.float16) else lines
    array = lines.numpy()
    array = array.view(np.uint16) if array.dtype == np.int16 else array
    return [array if array.dtype == kind else np.empty((count, 0), kind) for kind in (np.uint8, np.uint16, np.float32)]


# Never read: no row of `form` names an absent form.
_ABSENT = tuple(
    np.zeros(shape, kind)
    for shape, kind in (
        ((1, 1, 6), np.float64), ((1, 1), np.bool_), ((1, 1), np.float32), ((1, 1), np.int64), ((1, 1), np.float64),
        ((1, 1), np.int64), ((1, 1), np.float32),
    )
)  # fmt: skip
