"""Plug-ins: names that stand in a user's own file or in an installed package.

There are two ways in, and no third: an installed package names a module under the entry point `augury.plugins`, or the user
loads a file or a module, by `--plugin` or `load_plugin`. A file of settings and a policy file never load code. They record
which plug-ins their names came from, with a hash of the source, and ask for them where they are missing or differ.

What is handed to other processes (a worker of a data loader, a child of a search, a pickle) carries the plug-ins it needs
as `Plugin`s; one that is a single file carries its text, so that the file need not be there.
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
_TEXT = "__augury_text__"  # of a module that was run from a file: its text, which the file may no longer hold


@dataclass(frozen=True)
class Plugin:
    """A module that registers names. sha256: of its source, of all files where it belongs to a package of several.

    file: where it was read from. text: its source where it is a single file. `__main__` is a notebook or a script.
    """

    module: str
    sha256: str
    file: str = ""
    text: str | None = None

    @property
    def label(self) -> str:
        """What users call it: a distribution with its version, a file, or this session."""
        if self.module == SESSION:
            return "this session"
        top = self.module.partition(".")[0]
        installed = registry.distributions()
        if top in installed:
            return installed[top]
        return self.module if self.text is None else Path(self.file).name


def load_plugin(plugin: str | os.PathLike[str]) -> Plugin:
    """Load a plug-in, a Python file or an importable module, so that the names it registers can be used.

    A file is imported under its own name: `load_plugin("folder/mine.py")` as the module `mine`. Loading it again does
    nothing; after it was changed, loading it again runs it again. Raises InputError where there is no such file or module,
    where it fails or registers nothing, and where one of its names is taken; nothing of it stays registered then.

    >>> load_plugin("no_such_file.py")
    Traceback (most recent call last):
    augury.core.errors.InputError: --plugin no_such_file.py: no such file
    """
    text = os.fspath(plugin)
    where = f"--plugin {text}"
    path = Path(text).expanduser()
    if path.suffix == ".py" or path.is_file():
        if not path.is_file():
            raise InputError(f"{where}: no such file")
        module = _load_file(path.resolve(), where)
    elif re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", text):
        module = _import(text, where)
    else:
        raise InputError(f"{where}: give a Python file, as mine.py, or the name of a module")
    package = f"{module}."
    if not any(e.module == module or e.module.startswith(package) for e in registry.outside()):
        raise InputError(f'{where}: registers no name; put `@augury.register("op", "NAME")` or its like above a function')
    return plugin_of(module)


def plugin_of(module: str) -> Plugin:
    """The plug-in that a module belongs to, as it is loaded now."""
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
    """The plug-ins that registered names so far."""
    return [plugin_of(module) for module in dict.fromkeys(entry.module for entry in registry.outside())]


def used_in(values: Any) -> list[Plugin]:
    """The plug-ins whose names stand in the texts of `values` (nested mappings and lists of plain values)."""
    outside = registry.outside()
    if not outside:
        return []
    words = {word for text in _texts(values) for word in _WORD.findall(text)}
    return [plugin_of(module) for module in sorted({entry.module for entry in outside if entry.name in words})]


def recorded(values: Any) -> dict[str, str]:
    """What a file that holds `values` writes down of their plug-ins: module to hash."""
    return {plugin.module: f"sha256:{plugin.sha256}" for plugin in used_in(values)}


def check(record: object, where: str) -> None:
    """InputError where a plug-in that a file records is not loaded, or is not the one that was used. Loads nothing but
    what is installed."""
    if not isinstance(record, Mapping):
        raise InputError(f"{where}: plugins: expected `module: sha256:...` lines")
    if not record:
        return
    registry.load_installed()
    for module, was in record.items():
        if not any(entry.module == module for entry in registry.outside()):
            if module == SESSION:
                raise InputError(
                    f"{where}: uses names that were defined in a notebook or script; write them into a file and give it by --plugin"
                )
            raise InputError(f"{where}: uses the plug-in {module}; add --plugin with its file or module, as `--plugin {module}.py`")
        now = f"sha256:{plugin_of(str(module)).sha256}"
        if now != was:
            raise InputError(
                f"{where}: the plug-in {module} is not the one that was used (then {str(was)[:19]}..., now {now[:19]}...); "
                "give that version by --plugin, or remove its line under `plugins` to continue with this one"
            )


def restore(wanted: Iterable[Plugin]) -> None:
    """Load plug-ins as another process had them; InputError where this one has another version."""
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
                f"plug-in {plugin.label}: another version than was used (then {plugin.sha256[:12]}, now {now.sha256[:12]})"
            )


def portable(found: list[Plugin], where: str) -> list[Plugin]:
    """The plug-ins, where all of them can be handed to processes that know nothing of this one; InputError otherwise."""
    for plugin in found:
        if plugin.module == SESSION:
            names = ", ".join(e.name for e in registry.outside() if e.module == SESSION)
            raise InputError(f"{where}: {names}: defined in a notebook or script; write it into a file and load that as a plug-in")
    return found


def _load_file(path: Path, where: str) -> str:
    """The module that a file is, run if it has not been, or not as it stands now."""
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
    """Run a file's text as the module `name`; InputError where it fails, with nothing of it left behind."""
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
    return None if found is None or found.origin is None else found  # a folder of the same name is no module


def _same(file: str | None, path: Path) -> bool:
    try:
        return file is not None and Path(file).resolve() == path
    except OSError:
        return False


def _package(module: str) -> Path | None:
    """The folder of the outermost package that a module belongs to; None for a module that is a single file."""
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        file = getattr(sys.modules.get(".".join(parts[:end])), "__file__", None)
        if file is not None:
            return Path(file).parent if end < len(parts) or Path(file).name == "__init__.py" else None
    return None


def _hash_of_session(module: str) -> str:
    """A hash of what a notebook or script registers: the source of its functions, their compiled code where there is none."""
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


def _texts(values: Any) -> Iterable[str]:
    """Every text in nested values, the content of policy files included."""
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
