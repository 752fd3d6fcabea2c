"""Threads for reading images, since Pillow decodes and resizes without holding the interpreter lock."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def each(work: Callable[[int], None], count: int) -> None:
    """Runs `work(i)` for i in 0 .. count-1 in several threads; the first exception is raised."""
    workers = max(1, min(16, os.cpu_count() or 1))
    share = max(1, min(256, count // (4 * workers)))

    def several(start: int) -> None:
        for i in range(start, min(start + share, count)):
            work(i)

    with ThreadPoolExecutor(workers) as threads:
        try:
            for _ in threads.map(several, range(0, count, share)):
                pass
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)  # so that Ctrl-C only waits for shares that have begun
            raise
