"""Locks a run's folder for one process; other processes get an error that names it.

The operating system holds the lock and releases it when the process ends, for whatever reason: after a kill there is nothing to
clean up, and the file left behind locks nothing.
"""

import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from augury.core.errors import InputError

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

NAME = ".augury-lock"


@dataclass
class Lock:
    """A lock, held for as long as this object exists. descriptor: of the open, locked file; None once released."""

    path: Path
    descriptor: int | None

    def __del__(self) -> None:
        self.release()

    def release(self) -> None:
        """Release the lock and remove its file."""
        if self.descriptor is not None:
            if self._is_there():
                self.path.unlink(missing_ok=True)
            os.close(self.descriptor)
        self.descriptor = None

    def _is_there(self) -> bool:
        """Whether the locked file is still the one at its path, not one that another process has since removed."""
        try:
            return self.descriptor is not None and os.path.samestat(os.fstat(self.descriptor), os.stat(self.path))
        except OSError:
            return False


def locked(folder: Path) -> Lock | None:
    """Lock a folder; None if locks are not supported there. Raises InputError naming the process that holds the lock."""
    if fcntl is None:
        return None
    while True:
        try:
            held = Lock(folder / NAME, os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o644))
        except OSError:  # whether the folder is writable is checked elsewhere
            return None
        if not _taken(held, folder):
            return None
        if held._is_there():
            break
    assert held.descriptor is not None
    os.ftruncate(held.descriptor, 0)
    os.write(held.descriptor, json.dumps({"host": socket.gethostname(), "process": os.getpid()}).encode())
    return held


def _taken(held: Lock, folder: Path) -> bool:
    """Try to take the lock; False if locks are not supported. Raises InputError if another process holds it."""
    assert held.descriptor is not None
    try:
        fcntl.lockf(held.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except (BlockingIOError, PermissionError):
        _forget(held)
        raise InputError(
            f"--output {folder}: {_holder(held.path)} is working in it; wait until it has ended, or end it and --resume"
        ) from None
    except OSError:
        _forget(held)
        return False


def _forget(held: Lock) -> None:
    """Close a file that this process could not lock, without removing it."""
    descriptor, held.descriptor = held.descriptor, None
    if descriptor is not None:
        os.close(descriptor)


def _holder(path: Path) -> str:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return f"process {found['process']} on {found['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
