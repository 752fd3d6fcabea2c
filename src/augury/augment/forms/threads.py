"""Threads: distributes the rows of a batch over a few threads that live as long as the process.

Rows are assigned in small pieces, so that a thread whose core is busy takes fewer. The result does not depend on which thread
computes which rows.
"""

import functools
import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

# Below this much work a second thread costs more than it brings; pieces are small enough to even out a busy core.
SMALLEST_SHARE_BYTES = 1 << 21
PIECES_PER_THREAD = 4


def in_parts(kernel: Callable[[int, int], object], count: int, row_bytes: int) -> None:
    """`kernel(start, stop)` for all of `count` rows, which do not depend on each other, on up to PyTorch's number of threads.

    row_bytes: how much memory a row touches.
    """
    threads = min(torch.get_num_threads(), count, 1 + count * row_bytes // SMALLEST_SHARE_BYTES)
    if threads <= 1:
        kernel(0, count)
        return
    pieces = min(count, threads * PIECES_PER_THREAD)
    ends = [count * k // pieces for k in range(pieces + 1)]
    number = itertools.count()

    def work() -> None:
        while (k := next(number)) < pieces:
            kernel(ends[k], ends[k + 1])

    others = [_pool(os.getpid(), torch.get_num_threads()).submit(work) for _ in range(threads - 1)]
    try:
        work()
    finally:
        for other in others:
            if not other.cancel():
                other.result()


@functools.lru_cache(maxsize=1)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """The threads besides the calling one. A forked process does not inherit its parent's threads and starts its own."""
    return ThreadPoolExecutor(max(1, threads - 1), thread_name_prefix="augury")
