"""Memory for results that is reused once nothing refers to them any more.

New memory costs more than the arithmetic that fills it, since the system allocates it page by page and clears each page. A
buffer is free again once the last tensor or array that views it is gone.
"""

import weakref
from collections import deque

import numpy as np
import torch
from torch import Tensor

KEPT = 3  # free buffers: a loop that makes a batch while it still holds the last one needs two


class Buffers:
    """Provides uninitialised tensors on the CPU."""

    def __init__(self) -> None:
        self._free: deque[np.ndarray] = deque(maxlen=KEPT)

    def empty(self, count: int, dtype: torch.dtype) -> Tensor:
        """A flat tensor of `count` entries, in a free or a new buffer."""
        size = count * dtype.itemsize
        whole = self._taken(size)
        view = whole[:size]
        weakref.finalize(view, self._free.append, whole).atexit = False
        return torch.from_numpy(view).view(dtype)

    def _taken(self, size: int) -> np.ndarray:
        """A buffer of `size` bytes, or little more; those of other sizes are given up."""
        while self._free:
            try:
                whole = self._free.pop()
            except IndexError:  # another thread took it
                break
            if size <= whole.size <= size + size // 8 + 4096:
                return whole
        return np.empty(size, np.uint8)
