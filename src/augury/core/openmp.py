"""Small tensor operations on the calling thread alone.

PyTorch and the mathematical library under it start their team of OpenMP threads for some operations however small they are:
`cos`, `sin` and `trunc` of 128 numbers. The team then waits for more work by spinning, on the cores that the kernels of the
images are about to use.
"""

import ctypes
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


class OneThread:
    """A context in which tensor operations of the calling thread start no others.

    Only this thread's limits change: `torch.set_num_threads` would also set, for good, those of threads that begin meanwhile.
    Where PyTorch's libraries cannot be reached so, nothing is done. torch.compile does not see it: use `on_one_thread` in code
    that it traces.

    >>> before = torch.get_num_threads()
    >>> with OneThread():
    ...     pass
    >>> torch.get_num_threads() == before
    True
    """

    def __enter__(self) -> None:
        self._threads, self._mkl = 1, 0
        threads, limits = torch.get_num_threads(), _limits()
        if threads > 1 and limits is not None:
            self._threads = threads
            limits.openmp(1)
            if limits.mkl is not None:
                self._mkl = limits.mkl(1)

    def __exit__(self, *_: object) -> None:
        if self._threads > 1 and (limits := _limits()) is not None:
            limits.openmp(self._threads)
            if limits.mkl is not None:
                limits.mkl(self._mkl)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """PyTorch on so many threads; the previous number is restored afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def on_one_thread(function: Callable[P, R], *given: P.args, **named: P.kwargs) -> R:
    """What a function of small tensor operations returns; torch.compile traces it as if it were called by itself."""
    if torch.compiler.is_compiling():
        return function(*given, **named)
    with OneThread():
        return function(*given, **named)


@dataclass(frozen=True)
class _Limits:
    """Functions that set the calling thread's number of threads. mkl: where PyTorch has it; it returns what was set, 0 for none."""

    openmp: Callable[[int], object]
    mkl: Callable[[int], int] | None


@functools.cache
def _limits() -> _Limits | None:
    for path in sorted((Path(torch.__file__).parent / "lib").glob("libtorch_cpu.*")):
        try:
            # A library's handle also finds the symbols of those that it was linked with, whatever their files are called.
            library = ctypes.CDLL(str(path))
            openmp: Callable[[int], object] = library.omp_set_num_threads
        except (OSError, AttributeError):
            continue
        before = torch.get_num_threads()
        openmp(1)
        reached = torch.get_num_threads() == 1
        openmp(before)
        return _Limits(openmp, getattr(library, "MKL_Set_Num_Threads_Local", None)) if reached else None
    return None
