"""Imports plug-ins; every failure is reported as one line that names the plug-in and the line in its file."""

import importlib

from augury.core.errors import InputError


def import_plugin(name: str, where: str) -> None:
    """Import a module; InputError starting with `where` if it does not exist or fails to import."""
    try:
        importlib.import_module(name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise InputError(f"{where}: there is no module {name!r}; for a file, give its path, as {name}.py") from None
        raise failed(error, where, None) from error


def failed(error: Exception, where: str, file: str | None) -> InputError:
    """An InputError that says what failed, with the line number in the plug-in's file."""
    line = error.lineno if isinstance(error, SyntaxError) else None
    trace = error.__traceback__
    while trace is not None:
        if file is not None and trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    place = f" line {line}" if line else ""
    said = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
    return InputError(f"{where}{place}: {' '.join(said.split())}")
