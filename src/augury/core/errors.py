"""The two errors that users see; both are reported in one line, without a traceback."""


class InputError(ValueError):
    """Refused before anything was done: names the file, field or flag and the remedy (exit code 2)."""


class RunError(RuntimeError):
    """Failed while running: what was done so far is kept (exit code 1)."""
