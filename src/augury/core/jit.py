"""How kernels for the CPU are compiled: without Python's lock and without fast-math, and cached on disk where there is a place.

Products and sums round one after the other, as in PyTorch, and integers are exact, so that results equal the plain back
end's to the bit. What reaches a kernel was checked before (`augury.core.checks`); `AUGURY_BOUNDS_CHECK=1` in the environment
compiles kernels that also check every index themselves, for tests.
"""

import functools
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit


def jit(function: Callable[..., Any]) -> Any:
    """The function compiled on its first call. Where no folder for the cache can be written, as in a read-only installation
    without a home, it is compiled in every process, with one warning."""
    compiled = _compiler()
    if _checked():  # the cache does not tell the two apart
        return compiled(cache=False)(function)
    try:
        return _noticing(compiled(cache=True)(function))
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
        _note()
        return compiled(cache=False)(function)


def _noticing(compiled: Any) -> Any:
    """The kernel, compiled anew after an edit of any file in its folder: numba itself notices those of its own file alone."""
    kept: Any = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    if kept is not None and hasattr(kept, "_source_stamp"):
        states = [path.stat() for path in sorted(Path(compiled.py_func.__code__.co_filename).parent.glob("*.py"))]
        kept._source_stamp = (max(state.st_mtime for state in states), sum(state.st_size for state in states))
    return compiled


def leaf(function: Callable[..., Any]) -> Any:
    """A part of kernels, which Python does not call and which allocates nothing: views of arrays are not counted there, since that
    costs more than a short row of pixels."""
    return _compiler(_nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)


def _checked() -> bool:
    return os.environ.get("AUGURY_BOUNDS_CHECK") == "1"


def _compiler(**more: bool) -> Any:
    return functools.partial(njit, nogil=True, boundscheck=_checked(), error_model="numpy", **more)


@functools.cache
def _note() -> None:
    warnings.warn(
        "augury: compiled kernels cannot be kept, since neither the package's folder nor a cache folder can be written; every "
        "process compiles them anew (set NUMBA_CACHE_DIR to a folder that can be written, or AUGURY_BACKEND=plain)",
        stacklevel=3,
    )
