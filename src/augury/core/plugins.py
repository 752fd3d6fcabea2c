"""Plug-ins: names that are registered by a user's own file or by an installed package.

Plug-ins are loaded in exactly two ways: an installed package names a module under the entry point `augury.plugins`, or the
user loads a file or a module with `--plugin` or `load_plugin`. Config and policy files never load code. They record which
plug-ins their names came from, with a hash of the source, and reading them fails with the remedy if one is missing or differs.

Objects sent to other processes (data loader workers, a search's children, pickles) carry the plug-ins they need as
`Plugin`s. A single-file plug-in carries its text, so that the file itself need not exist there.
"""

import hashlib
import importlib.util
import inspect
import linecache
import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from augury.core import registry
from augury.core.errors import InputError
from augury.core.importing import failed, import_plugin
from augury.core.registry import SESSION

_WORD = re.compile(r"[A-Za-z0-9_./~-]+")
_TEXT = "__augury_text__"  # attribute of a module that was run from a file: its text then; the file may have changed since


@dataclass(frozen=True)
class Plugin:
    """A module that registers names. sha256: the hash of its source, over all files if it is part of a package.

    file: where it was read from. text: its source if it is a single file. The module `__main__` is a notebook or a script.
    """

    module: str
    sha256: str
    file: str = ""
    text: str | None = None

    @property
    def label(self) -> str:
        """Its name for users: a distribution with its version, a file, a module, or this session."""
        if self.module == SESSION:
            return "this session"
        top = self.module.partition(".")[0]
        installed = registry.distributions()
        if top in installed:
            return installed[top]
        return self.module if self.text is None else Path(self.file).name


LONGEST_NAME = 255  # of a file or folder; systems refuse longer ones


def load_plugin(plugin: str | os.PathLike[str]) -> Plugin:
    """Load a plug-in, a Python file or an importable module, so that the names it registers can be used.

    A file is imported under its own name: `load_plugin("folder/mine.py")` as the module `mine`. Loading it again does nothing
    unless the file has changed; then it is run again. Raises InputError if there is no such file or module, if it fails or
    registers nothing, or if one of its names is taken; none of its names stays registered then.

    >>> load_plugin("no_such_file.py")
    Traceback (most recent call last):
    augury.core.errors.InputError: --plugin no_such_file.py: no such file
    """
    if not isinstance(plugin, str | os.PathLike):
        raise InputError(f"load_plugin: a file's path or a module's name, got {type(plugin).__name__}")
    text = os.fspath(plugin)
    if not isinstance(text, str) or "\0" in text or max(map(len, Path(text).parts), default=0) > LONGEST_NAME:
        raise InputError("--plugin: expected a file's path or a module's name")
    where = f"--plugin {text}"
    path = Path(text).expanduser()
    if path.suffix == ".py" or path.is_file():
        if not path.is_file():
            raise InputError(f"{where}: no such file")
        module = _load_file(path.resolve(), where)
    elif re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", text):
        module = _import(text, where)
    else:
        raise InputError(f"{where}: expected a Python file such as mine.py, or the name of a module")
    package = f"{module}."
    if not any(e.module == module or e.module.startswith(package) for e in registry.outside()):
        raise InputError(f'{where}: registers no name; put for example `@augury.register("op", "NAME")` above a function')
    return plugin_of(module)


def plugin_of(module: str) -> Plugin:
    """The plug-in that a module belongs to, as currently loaded."""
    found = sys.modules.get(module)
    if module == SESSION or found is None:
        return Plugin(module, _hash_of_session(module))
    folder = _package(module)
    if folder is not None:
        digest = hashlib.sha256()
        for path in sorted(folder.rglob("*.py")):
            digest.update(f"{path.relative_to(folder).as_posix()}\n".encode() + path.read_bytes())
        return Plugin(module, digest.hexdigest(), str(folder))
    text = getattr(found, _TEXT, None)
    file = str(getattr(found, "__file__", None) or "")
    if text is None:
        text = Path(file).read_text(encoding="utf-8") if file else ""
    return Plugin(module, hashlib.sha256(text.encode()).hexdigest(), file, text)


def loaded() -> list[Plugin]:
    """The plug-ins that have registered names so far."""
    return [plugin_of(module) for module in dict.fromkeys(entry.module for entry in registry.outside())]


def used_in(values: object) -> list[Plugin]:
    """The plug-ins whose names occur in the texts of `values` (nested mappings and lists of plain values)."""
    outside = registry.outside()
    if not outside:
        return []
    words = {word for text in _texts(values) for word in _WORD.findall(text)}
    return [plugin_of(module) for module in sorted({entry.module for entry in outside if entry.name in words})]


def recorded(values: object) -> dict[str, str]:
    """The record of the plug-ins that `values` use, as config and policy files store it: module to hash."""
    return {plugin.module: f"sha256:{plugin.sha256}" for plugin in used_in(values)}


def check(record: object, where: str) -> None:
    """InputError if a plug-in that a file records is not loaded or has changed since. Loads installed plug-ins only."""
    if not isinstance(record, Mapping):
        raise InputError(f"{where}: plugins: expected `module: sha256:...` lines")
    if not record:
        return
    registry.load_installed()
    for module, was in record.items():
        if not any(entry.module == module for entry in registry.outside()):
            if module == SESSION:
                raise InputError(
                    f"{where}: uses names that were defined in a notebook or script; move them to a file and pass it with --plugin"
                )
            raise InputError(f"{where}: uses the plug-in {module}; add --plugin with its file or module, as `--plugin {module}.py`")
        now = f"sha256:{plugin_of(str(module)).sha256}"
        if now != was:
            raise InputError(
                f"{where}: the plug-in {module} is not the one that was used (then {str(was)[:19]}..., now {now[:19]}...); "
                "pass that version with --plugin, or remove its line under `plugins` to continue with this one"
            )


def restore(wanted: Iterable[Plugin]) -> None:
    """Load the plug-ins of another process; InputError if this process has a different version."""
    for plugin in wanted:
        if plugin.module == SESSION:
            continue
        if plugin.module not in sys.modules and plugin.text is not None:
            _run(plugin.module, plugin.file, plugin.text, f"plug-in {plugin.label}")
        else:
            _import(plugin.module, f"plug-in {plugin.label}")
        now = plugin_of(plugin.module)
        if now.sha256 != plugin.sha256:
            raise InputError(
                f"plug-in {plugin.label}: not the version that was used (then {plugin.sha256[:12]}, now {now.sha256[:12]})"
            )


def portable(found: list[Plugin], where: str) -> list[Plugin]:
    """The plug-ins, if all of them can be sent to other processes; InputError otherwise."""
    for plugin in found:
        if plugin.module == SESSION:
            names = ", ".join(e.name for e in registry.outside() if e.module == SESSION)
            raise InputError(f"{where}: {names}: defined in a notebook or script; move it to a file and load that as a plug-in")
    return found


def _load_file(path: Path, where: str) -> str:
    """The name of a file's module; the file is run unless its current text was run before."""
    text = path.read_text(encoding="utf-8")
    for name, module in list(sys.modules.items()):
        if name != SESSION and _same(getattr(module, "__file__", None), path):
            if plugin_of(name).text != text:
                _run(name, str(path), text, where)
            return name
    name = path.stem
    if not name.isidentifier():
        raise InputError(f"{where}: rename the file; {name!r} cannot be a module's name (letters, digits and underscores)")
    known = sys.modules.get(name) or _findable(name)
    if known is not None and not _same(getattr(known, "__file__", None) or getattr(known, "origin", None), path):
        raise InputError(f"{where}: rename the file; there is another module called {name!r}")
    _run(name, str(path), text, where)
    return name


def _run(name: str, file: str, text: str, where: str) -> None:
    """Run a file's text as the module `name`; on failure, undo everything and raise InputError."""
    module = ModuleType(name)
    module.__file__ = file
    module.__dict__[_TEXT] = text
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)  # for tracebacks and inspect.getsource
    old = sys.modules.get(name)
    try:
        with registry.all_or_nothing():
            registry.withdraw(name)
            sys.modules[name] = module
            exec(compile(text, file, "exec"), module.__dict__)
    except Exception as error:
        if old is None:
            del sys.modules[name]
        else:
            sys.modules[name] = old
        raise failed(error, where, file) from error


def _import(name: str, where: str) -> str:
    with registry.all_or_nothing():
        import_plugin(name, where)
    return name


def _findable(name: str) -> Any:
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    return None if found is None or found.origin is None else found  # a folder of the same name is not a module


def _same(file: str | None, path: Path) -> bool:
    try:
        return file is not None and Path(file).resolve() == path
    except OSError:
        return False


def _package(module: str) -> Path | None:
    """The folder of the outermost package that a module belongs to; None for a single-file module."""
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        file = getattr(sys.modules.get(".".join(parts[:end])), "__file__", None)
        if file is not None:
            return Path(file).parent if end < len(parts) or Path(file).name == "__init__.py" else None
    return None


def _hash_of_session(module: str) -> str:
    """A hash of what a notebook or script registers: its functions' source, or their compiled code if there is no source."""
    digest = hashlib.sha256()
    for entry in sorted(registry.outside(), key=lambda e: (e.kind, e.name)):
        if entry.module == module:
            value = registry.get(entry.kind, entry.name)
            try:
                digest.update(inspect.getsource(value).encode())
            except (OSError, TypeError):
                code = getattr(value, "__code__", None)
                digest.update(b"" if code is None else code.co_code + repr(code.co_consts).encode())
    return digest.hexdigest()


def _texts(values: object) -> Iterable[str]:
    """Every text in nested values, including the content of the policy files they name."""
    if isinstance(values, str):
        yield values
        for word in _WORD.findall(values):
            if word.lower().endswith((".yaml", ".yml")) and Path(word).is_file():
                yield Path(word).read_text(encoding="utf-8", errors="replace")
    elif isinstance(values, Mapping):
        for key, value in values.items():
            yield str(key)
            yield from _texts(value)
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _texts(value)
