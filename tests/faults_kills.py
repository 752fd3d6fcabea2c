"""Commands that are killed at chosen points where they touch the disk, in processes of their own."""

import os
import signal
from pathlib import Path
from typing import Any

POINTS = ("write", "fsync", "replace")


def killed(arguments: list[str], at: int | None, log: Path) -> tuple[int, list[str]]:
    """Run a command in a child; kill it (SIGKILL) just before its `at`-th write, fsync or rename, counted from 0.

    Returns the exit code (-9 where it was killed) and the points passed. None: never.
    """
    child = os.fork()
    if child == 0:
        code = 70
        try:
            log.write_text("")
            _watch(at, log)
            from augury.cli import main

            code = main(arguments)
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), log.read_text().split()


def _watch(at: int | None, log: Path) -> None:
    """Count what goes to the disk through `os` and through files opened for writing by name, and die when it is time."""
    import builtins

    passed, descriptor = 0, os.open(log, os.O_WRONLY | os.O_APPEND)

    def point(name: str) -> None:
        nonlocal passed
        os.write(descriptor, f"{name}\n".encode())
        if passed == at:
            os.kill(os.getpid(), signal.SIGKILL)
        passed += 1

    def before(name: str, function: Any) -> Any:
        def run(*given: Any, **named: Any) -> Any:
            point(name)
            return function(*given, **named)

        return run

    own_open = builtins.open

    def opened(file: Any, mode: str = "r", *given: Any, **named: Any) -> Any:
        if any(letter in mode for letter in "wa+") and "augury" not in str(file).split(os.sep)[-1]:
            point("write")
        return own_open(file, mode, *given, **named)

    os.fsync, os.replace = before("fsync", os.fsync), before("replace", os.replace)
    builtins.open = opened
