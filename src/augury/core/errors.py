"""The two errors that users see; both are reported as one line without a traceback."""

from augury.core.text import LONGEST_MESSAGE, printable, shortened


def _shown(message: object) -> str:
    """A message as people see it: what it quotes may come from a hostile file."""
    return shortened(printable(str(message)), LONGEST_MESSAGE)


class InputError(ValueError):
    """Bad input, rejected before any work started. Names the file, field or flag and the remedy (exit code 2)."""

    def __init__(self, message: object) -> None:
        super().__init__(_shown(message))


class RunError(RuntimeError):
    """A failure during a run; what was finished before it is kept (exit code 1)."""

    def __init__(self, message: object) -> None:
        super().__init__(_shown(message))
