"""The output folder of a measurement: created and tested before anything is measured."""

from pathlib import Path

from augury.core.errors import InputError


def open_output(path: Path) -> None:
    """Create the folder. Raises InputError if it cannot be created or written; an old result.json in it is replaced later."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".augury-probe"
        probe.touch()
        probe.unlink()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"--output {path}: cannot be written ({reason}); name another folder") from None
