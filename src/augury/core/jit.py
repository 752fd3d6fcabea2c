"""How kernels for the CPU are compiled: without Python's lock and without fast-math, and kept on disk where there is a place.

Products and sums round one after the other, as in PyTorch, and integers are exact, so that results equal the plain back
end's to the bit. What reaches a kernel was checked before (`augury.core.checks`). `AUGURY_BOUNDS_CHECK=1` in the environment
compiles kernels that also check every index themselves, for tests; nothing of these is kept.
"""

import functools
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit

CHECKED = os.environ.get("AUGURY_BOUNDS_CHECK") == "1"
_compiler: Any = functools.partial(njit, nogil=True, boundscheck=CHECKED, error_model="numpy")


def jit(function: Callable[..., object]) -> Callable[..., Any]:
    """The function compiled on its first call. Where no folder for compiled code can be written, as in a read-only installation
    without a home, every process compiles it, and one message says so."""
    if CHECKED:  # numba's files on disk do not tell the two kinds of code apart
        return _compiler(cache=False)(function)
    try:
        return _restamped(_compiler(cache=True)(function))
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
        _tell()
        return _compiler(cache=False)(function)


def _restamped(kernel: Any) -> Any:
    """The kernel, whose compiled code on disk is out of date after an edit of any kernel's file: kernels are made of parts that
    stand in several, and numba looks at the kernel's own alone. Should a later numba keep this elsewhere, only edits are missed."""
    file = getattr(getattr(kernel, "_cache", None), "_cache_file", None)
    if file is not None:
        file._source_stamp = (file._source_stamp, _stamp())
    return kernel


@functools.cache
def _stamp() -> tuple[tuple[str, float, int], ...]:
    """Names, times and sizes of all files of kernels, and of this one."""
    files = [Path(__file__), *(path for folder in _kernel_folders() for path in folder.glob("*numba*.py"))]
    return tuple((path.name, stat.st_mtime, stat.st_size) for path in sorted(files) for stat in [path.stat()])


def _kernel_folders() -> list[Path]:
    return [Path(__file__).parent.parent / room for room in ("core", "augment/forms", "train/models")]


def part(function: Callable[..., object]) -> Callable[..., Any]:
    """A part of a kernel, which Python does not call itself."""
    return _compiler(no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)


def merged(function: Callable[..., object]) -> Callable[..., Any]:
    """A part that is taken into its callers before they are compiled, so that it is compiled once: for what one kernel calls."""
    return _compiler(inline="always", no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)


def leaf(function: Callable[..., object]) -> Callable[..., Any]:
    """A part of a kernel. It allocates nothing and does not count references to views of arrays, which would cost more than a
    short row of pixels does."""
    return _compiler(_nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)


def inlined(function: Callable[..., object]) -> Callable[..., Any]:
    """A leaf that is compiled into its callers. For loops over a row: a call that is given arrays costs as much as 500 pixels."""
    return _compiler(_nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True)(function)


@functools.cache
def _tell() -> None:
    logging.getLogger("augury").warning(
        "augury: compiled kernels cannot be kept, because neither the package's folder nor a cache folder can be written; each "
        "process compiles them anew, in about half a minute (set NUMBA_CACHE_DIR to a folder that can be written, or "
        "AUGURY_BACKEND=plain to do without them)"
    )
