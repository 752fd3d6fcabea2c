"""Threads: distributes the rows of a batch over a few threads that live as long as the process.

Rows are assigned in small pieces, so that a thread whose core is busy takes fewer; where that does not help, the calling thread
computes alone for a while. The result does not depend on which thread computes which rows.
"""

import functools
import itertools
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

# Below this much work a second thread costs more than it brings. Pieces are small enough to even out a busy core, and so large
# that handing them out costs little.
SMALLEST_SHARE_BYTES = 1 << 21
SMALLEST_PIECE_BYTES = 1 << 20
PIECES_PER_THREAD = 8
LEAST_SHARE = 0.5  # of its time that the calling thread computes while it is helped; on free cores it is nearly all
SHORTEST_ABSENCE_SECONDS, LONGEST_ABSENCE_SECONDS = 0.005, 0.5


def in_parts(kernel: Callable[[int, int], object], count: int, row_bytes: int) -> None:
    """`kernel(start, stop)` for all of `count` rows, which do not depend on each other, on up to PyTorch's number of threads.

    row_bytes: how much memory a row touches.
    """
    threads = min(torch.get_num_threads(), count, 1 + count * row_bytes // SMALLEST_SHARE_BYTES)
    if threads <= 1:
        kernel(0, count)
        return
    helpers = _helpers(os.getpid(), torch.get_num_threads())
    if helpers.away():
        kernel(0, count)
        return
    pieces = min(count, threads * PIECES_PER_THREAD, max(2 * threads, count * row_bytes // SMALLEST_PIECE_BYTES))
    ends, number = _ends(count, threads, pieces), itertools.count()

    def work() -> int:
        done = 0
        while (k := next(number)) < len(ends) - 1:
            kernel(ends[k], ends[k + 1])
            done += 1
        return done

    others = [helpers.pool.submit(work) for _ in range(threads - 1)]
    started, started_here = time.perf_counter(), time.thread_time()
    try:
        done = work()
    finally:
        share = (time.thread_time() - started_here) / max(time.perf_counter() - started, 1e-9)
        for other in others:
            if not other.cancel():
                other.result()
    helpers.met(helped=done < len(ends) - 1 and share > LEAST_SHARE)


def _ends(count: int, threads: int, pieces: int) -> list[int]:
    """Where pieces end, from 0 on: each is a share of what is left, down to half of what `pieces` equal ones would be, so that the
    last ones are small and threads end together."""
    ends, smallest = [0], max(1, count // (2 * pieces))
    while ends[-1] < count:
        ends.append(min(count, ends[-1] + max(smallest, (count - ends[-1]) // (2 * threads))))
    return ends


class _Helpers:
    """The threads besides the calling one. They stay away for a while where they did not help: they came too late, or ran on the
    calling thread's own core while it stood still, since another process holds theirs."""

    def __init__(self, threads: int) -> None:
        self.pool = ThreadPoolExecutor(max(1, threads - 1), thread_name_prefix="augury")
        self._back_at = 0.0
        self._absence = SHORTEST_ABSENCE_SECONDS

    def away(self) -> bool:
        """Whether the next call is the calling thread's alone."""
        return time.perf_counter() < self._back_at

    def met(self, helped: bool) -> None:
        """After a call: whether it was worth while. Absences become longer the more often it was not."""
        if helped:
            self._absence = max(self._absence / 2, SHORTEST_ABSENCE_SECONDS)
        else:
            self._back_at = time.perf_counter() + self._absence
            self._absence = min(2 * self._absence, LONGEST_ABSENCE_SECONDS)


@functools.lru_cache(maxsize=1)
def _helpers(process: int, threads: int) -> _Helpers:
    """A forked process does not inherit its parent's threads and starts its own."""
    return _Helpers(threads)
