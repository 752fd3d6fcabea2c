"""Kernels compiled in the background; until they are ready, PyTorch does the work with the same bits.

Compiling takes half a minute, once per machine and version, and the first batch should not wait for it. A separate process
compiles and fills numba's cache; other processes check whether it has finished. With `AUGURY_COMPILE=now`, each process
compiles what it needs when it needs it; so it does with `AUGURY_BOUNDS_CHECK=1`, whose kernels are not kept.
"""

import contextlib
import functools
import hashlib
import importlib.util
import logging
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

SOURCES = ("augment/forms/*.py", "core/hash_*.py", "core/jit.py")  # of kernels, and how they are compiled
PACKAGE = Path(__file__).resolve().parents[1]
LONGEST_SECONDS = 600
MESSAGE = (
    "augury: compiling kernels for this processor in the background (once, about half a minute); until then, images are "
    "augmented more slowly, with the same result"
)


def ready() -> bool:
    """Whether compiled kernels can be used immediately."""
    state = _state()
    state.done = state.done or state.mark is None or state.mark.exists()
    return state.done


def start(module: str) -> None:
    """Start `python -m module MARK`, which compiles the kernels and calls `finished`, unless another process already has."""
    mark = _state().mark
    if mark is None or ready() or not _locked(mark):
        return
    logging.getLogger("augury").warning(MESSAGE)
    # At numba's own level, 3, compiling takes a tenth longer, and no kernel is faster (docs/speed.md).
    level = os.environ.get("NUMBA_OPT", "2")
    environment = {**os.environ, "AUGURY_COMPILE": "now", "PYTHONPATH": _path(), "OMP_NUM_THREADS": "1", "NUMBA_OPT": level}
    none = subprocess.DEVNULL
    command = [sys.executable, "-m", module, str(mark)]
    # Kept, since Python warns of a process that runs on when nothing refers to it.
    _state().compiler = subprocess.Popen(
        command, env=environment, start_new_session=True, stdin=none, stdout=none, stderr=none
    )  # fmt: skip


def finished(mark: Path) -> None:
    """Tell all processes to stop waiting: the kernels are compiled, or compiling failed and each process will report why."""
    mark.touch()
    _lock(mark).unlink(missing_ok=True)


@dataclass
class _State:
    """mark: the file that exists once everything is compiled; None if there is nothing to wait for. done: whether it was seen.
    compiler: the process that compiles, if this one started it."""

    mark: Path | None
    done: bool = False
    compiler: subprocess.Popen[bytes] | None = None


@functools.cache
def _state() -> _State:
    now = os.environ.get("AUGURY_COMPILE") == "now" or os.environ.get("AUGURY_BOUNDS_CHECK") == "1"
    folder = None if now or importlib.util.find_spec("numba") is None else cache_folder()
    return _State(None if folder is None else folder / f"augury-{_fingerprint()}.compiled")


def cache_folder() -> Path | None:
    """numba's cache folder or else the user's; None if neither is writable, in which case nothing is cached."""
    asked = os.environ.get("NUMBA_CACHE_DIR")
    places = [Path(asked)] if asked else [PACKAGE / "core" / "__pycache__", Path(os.path.expanduser("~/.cache/augury"))]
    for place in places:
        try:
            place.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=place):
                return place
        except OSError:
            continue
    return None


def _fingerprint() -> str:
    """A hash of what compiled kernels depend on: their sources, the compiler and the processor."""
    import llvmlite
    import llvmlite.binding as llvm
    from numba import __version__ as numba

    features = sorted(name for name, on in llvm.get_host_cpu_features().items() if on)
    parts = [sys.version, llvmlite.__version__, numba, llvm.get_host_cpu_name(), *features]
    for path in sorted(path for files in SOURCES for path in PACKAGE.glob(files)):
        state = path.stat()
        parts.append(f"{path} {state.st_mtime_ns} {state.st_size}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _lock(mark: Path) -> Path:
    return mark.with_suffix(".compiling")


def _locked(mark: Path) -> bool:
    """Take the lock for starting the compiling process; True unless another process holds it and is still alive."""
    lock = _lock(mark)
    with contextlib.suppress(OSError):  # there is no lock
        if time.time() - lock.stat().st_mtime > LONGEST_SECONDS:
            lock.unlink()
    try:
        with lock.open("x"):
            return True
    except OSError:
        return False


def _path() -> str:
    return os.pathsep.join(part for part in (str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")) if part)
