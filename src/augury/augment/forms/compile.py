"""Compiles all kernels for the CPU and keeps them on disk: `python -m augury.augment.forms.compile [MARK]`."""

import gc
import sys
from pathlib import Path

import numpy as np
import torch

from augury.augment.forms import numba_backend, numba_resize
from augury.augment.forms.blend import Blend
from augury.augment.forms.chain import Finish, chain
from augury.augment.forms.lowered import Lowered
from augury.augment.forms.memory import Buffers
from augury.augment.forms.mix import Mix
from augury.augment.forms.neighbourhood import Neighbourhood
from augury.augment.forms.packing import Piece
from augury.augment.forms.region import NO_GRID, Content, Region
from augury.augment.forms.table import LookupTable
from augury.augment.forms.warp import Warp
from augury.core import warmup
from augury.core.noise import Noise


def compile_all() -> None:
    """Every kernel, by a call with the types it is called with later."""
    count = 2
    images = torch.zeros(count, 3, 8, 8, dtype=torch.uint8)
    rows, box = torch.arange(count), torch.tensor([[1, 1, 4, 4]] * count)
    noise = Noise.of(0, rows, epoch=1, visits=rows).fold("x")
    noise.bits(2), noise.uniform(2), noise.partners()
    Noise.of(0, rows, draws="stratified").uniform(2)
    size = torch.full((count, 2), 8)
    lowered = _nothing(count)
    numba_backend.pixels(images, lowered, size)
    numba_resize.resize(images.numpy(), images.numpy().copy(), rows.numpy(), np.zeros((count, 4)), size.numpy(), 0, 0)
    for scale in (None, (torch.ones(3), torch.zeros(3))):
        chain(images, size, [Piece(lowered, box[:, None], rows[:, None], True)], Finish(scale), Buffers())
    for each in (images, images.float()):
        numba_backend.regions(each, lowered, box, rows)
        numba_backend.mixed(each, each, rows, torch.ones(count))
    numba_backend.hue(images, rows)
    field = numba_backend.smooth_field(rows, [1.0], 8, 8)
    numba_backend.displaced(images, field[:, 0], field[:, 1], size)
    numba_backend.extreme(images, rows + 1, size, Neighbourhood(brightest=True, square=True, after=True))
    position, weight = torch.zeros(count, 8, 1, dtype=torch.int64), torch.zeros(count, 8, 1, dtype=torch.float64)
    for dim in (2, 3):
        numba_backend.weighted(images, position, weight, dim)
    pieces = numba_backend.cut(images, rows, box, 4)[:, None]
    corner, on = torch.zeros(count, 1, 2, dtype=torch.int64), torch.ones(count, 1, dtype=torch.bool)
    numba_backend.paste(images, pieces, corner, corner + 2, on, torch.zeros(count, 1, dtype=torch.int64))


def _nothing(count: int) -> Lowered:
    """Records of a slot in which nothing fires."""
    zero, one = torch.zeros(count, 1), torch.ones(count, 1)
    whole = torch.zeros(count, 1, dtype=torch.int64)
    region = Region(whole, zero, whole, torch.tensor(NO_GRID).expand(count, 1, 6))
    warp = Warp(torch.tensor([1.0, 0, 0, 0, 1, 0], dtype=torch.float64).expand(count, 1, 6), whole.bool(), zero)
    table, blend, mix = LookupTable(whole, zero.double()), Blend(whole, one), Mix(one, whole.bool())
    return Lowered(whole.to(torch.int8) - 1, warp, table, blend, region, mix, ((),), frozenset({Content.NONE}))


if __name__ == "__main__":
    gc.disable()  # a tenth of the time goes into looking for garbage, of which there is little
    try:
        compile_all()
    finally:
        for path in sys.argv[1:]:
            warmup.finished(Path(path))
