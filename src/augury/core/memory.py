"""What the C library does with memory that was freed."""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt's numbers for them


def keep_freed_memory() -> None:
    """Has glibc hand freed memory out again in this process instead of returning it to the system; elsewhere nothing is done.

    A training step frees and asks for the same large arrays again and again. Returned ones come back as fresh pages, which the
    system clears first: a sixth of the processor time of a small network's step. For commands, whose process is theirs alone; the
    bench leaves the allocator as users have it.
    """
    try:
        adjust = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    for parameter in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
        adjust(parameter, 1 << 30)
