"""Memory for results that is reused once nothing refers to them any more.

New memory costs more than the arithmetic that fills it, since the system allocates it page by page and clears each page. A
buffer is free again once the last tensor or array that views it is gone.
"""

import math
import weakref
from collections import deque
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

LINE = 64  # bytes of the caches' lines
KEPT = 3  # free buffers: a loop that makes a batch while it still holds the last one needs two

_KINDS = {torch.uint8: np.uint8, torch.float32: np.float32, torch.bfloat16: np.int16, torch.float16: np.int16}  # of equal width


class Buffers:
    """Provides uninitialised tensors on the CPU."""

    def __init__(self) -> None:
        self._free: deque[np.ndarray] = deque(maxlen=KEPT)
        self._lent: list[weakref.ref[np.ndarray]] = []  # what tells of the end of views
        self._most = 64  # of them, those of views that are gone included

    def empty(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """A contiguous tensor, in a free or a new buffer."""
        size = math.prod(shape) * dtype.itemsize
        whole = self._taken(size)
        # The last view alone is kept by the tensor, since those on the way refer to the buffer and not to each other.
        view = whole[:size].view(_KINDS[dtype]).reshape(shape)
        # At the end of the view, `next` makes this map append the buffer to the free ones. No step of it is Python's own: an
        # interrupt from the keyboard that came during the kernel before would be raised there, where Python only prints it.
        self._lent.append(weakref.ref(view, partial(next, map(self._free.append, (whole,)))))
        if len(self._lent) > self._most:
            self._lent = [each for each in self._lent if each() is not None]
            self._most = 64 + 2 * len(self._lent)
        tensor = torch.from_numpy(view)
        return tensor if tensor.dtype == dtype else tensor.view(dtype)

    def _taken(self, size: int) -> np.ndarray:
        """A buffer of `size` bytes, or little more; those of other sizes are given up."""
        while self._free:
            try:
                whole = self._free.pop()
            except IndexError:  # another thread took it
                break
            if size <= whole.size <= size + size // 8 + 4096:
                return whole
        return aligned(size)


def aligned(size: int) -> np.ndarray:
    """Uninitialised uint8 memory that begins where a line of the caches does: wide writes that cross lines take longer."""
    memory = np.empty(size + LINE - 1, np.uint8)
    first = -memory.ctypes.data % LINE
    return memory[first : first + size]
