"""Opens regular files only: a named pipe, a socket or a device is refused immediately instead of blocking the reader."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISDIR, "a folder"),
)


class NotRegularError(OSError):
    """The path is not a regular file; `strerror` says what it is."""


def open_regular(path: Path | str) -> BinaryIO:
    """The file, opened for reading. Raises NotRegularError for anything but a regular file, and OSError as `open` does.

    The open descriptor is checked again, so that the file cannot be exchanged between the check and the opening.
    """
    _refuse(os.stat(path).st_mode, path)
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        _refuse(os.fstat(descriptor).st_mode, path)
    except BaseException:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def read_bytes(path: Path | str) -> bytes:
    """A regular file's content; raises as `open_regular` does."""
    with open_regular(path) as file:
        return file.read()


def read_text(path: Path | str) -> str:
    """A regular file's content as UTF-8, with \\n line ends; raises as `open_regular` does, and UnicodeDecodeError."""
    return read_bytes(path).decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")


def kind_of(mode: int) -> str:
    """The kind of file in words, from its mode: `a named pipe`, `a folder`, ...; empty for a regular file."""
    return next((kind for is_kind, kind in _KINDS if is_kind(mode)), "" if stat.S_ISREG(mode) else "no file")


def _refuse(mode: int, path: Path | str) -> None:
    kind = kind_of(mode)
    if kind:
        raise NotRegularError(0, f"{kind}, not a file", str(path))
