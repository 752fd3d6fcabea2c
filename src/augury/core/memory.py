"""How the C library and PyTorch treat a process's memory: what was freed, and pages of large arrays."""

import contextlib
import ctypes
import os

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt's numbers for them


def prepare_for_training() -> None:
    """Has this process's memory serve training steps, which free and ask for the same large arrays again and again.

    glibc hands freed memory out again instead of returning it to the system: returned arrays come back as fresh pages, which the
    system clears first, a sixth of the processor time of a small network's step. PyTorch asks for huge pages from 2 MB on, unless
    THP_MEM_ALLOC_ENABLE says otherwise: a twelfth of the step, and more where several processes train. Elsewhere than on Linux
    with glibc nothing is done. For processes that are Augury's alone, those of commands and their workers; the bench leaves the
    allocator as users have it.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    with contextlib.suppress(OSError, AttributeError, TypeError):
        adjust = ctypes.CDLL(None).mallopt
        for parameter in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
            adjust(parameter, 1 << 30)


def release_freed_memory() -> None:
    """Has glibc return what it kept to the system, for a process that from here on waits for others; elsewhere nothing is done."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
