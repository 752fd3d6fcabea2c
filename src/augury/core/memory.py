"""How the C library and PyTorch treat a process's memory: what was freed, and pages of large arrays."""

import contextlib
import ctypes
import os
from pathlib import Path

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt's numbers for them
_MOST, _MOST_BEFORE_2_35 = 1 << 30, 32 << 20  # bytes; older versions of glibc refuse a higher threshold for mmap


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
        adjust(_TRIM_THRESHOLD, _MOST)
        # A refused threshold would stay at 128 KB, since the other one stops glibc from raising it by itself.
        if not adjust(_MMAP_THRESHOLD, _MOST):
            adjust(_MMAP_THRESHOLD, _MOST_BEFORE_2_35)


def release_freed_memory() -> None:
    """Has glibc return what it kept to the system, for a process that from here on waits for others; elsewhere nothing is done."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def available_memory() -> int:
    """Bytes that a new process could take without others being swapped out: the machine's, or what is left of the limit of the
    container that this process runs in. Half the machine's where the system does not say."""
    found = [amount for amount in (_of_machine(), _of_container()) if amount is not None]
    if found:
        return min(found)
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2 if hasattr(os, "sysconf") else 4 << 30


def _of_machine() -> int | None:
    with contextlib.suppress(OSError, ValueError, StopIteration):
        line = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable:"))
        return int(line.split()[1]) * 1024
    return None


def _of_container(folder: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What is left of a control group's limit, version 2 or 1; None without one."""
    for limit, used in (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes")):
        with contextlib.suppress(OSError, ValueError):  # no such file, or the word max
            return max(0, int((folder / limit).read_text()) - int((folder / used).read_text()))
    return None
