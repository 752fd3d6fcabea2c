"""The two errors that users see; both are reported as one line without a traceback."""


class InputError(ValueError):
    """Bad input, rejected before any work started. Names the file, field or flag and the remedy (exit code 2)."""


class RunError(RuntimeError):
    """A failure during a run; what was finished before it is kept (exit code 1)."""
