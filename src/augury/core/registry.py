"""Every named thing, found where it is defined.

A name is registered once, by a decorator in the file that defines it; there is no list to edit. The index reads the
package's source files without importing them, so that `augury list` and `augury --help` need neither torch nor any
method's dependencies; a module is imported when its name is first asked for. A recipe is a TOML file, named as the file is;
the package it lies in loads it. Names registered from outside the package
(a notebook, a plug-in) join as soon as their decorator runs.
"""

import ast
import difflib
import functools
import importlib
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from augury.core.errors import InputError

Kind = Literal["op", "pipeline", "policy", "strategy", "model", "dataset", "measurement", "theory", "recipe"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PACKAGE = Path(__file__).resolve().parents[1]
T = TypeVar("T")
_LONGEST_ECHO = 60  # characters of a name that nobody knows, repeated to whoever typed it


@dataclass(frozen=True)
class Entry:
    """One registered name: what it is, where its paper is, and the module that defines it."""

    kind: Kind
    name: str
    source: str
    summary: str
    module: str


_loaded: dict[tuple[str, str], Any] = {}
_outside: dict[tuple[str, str], Entry] = {}


def register(kind: Kind, name: str, *, source: str) -> Callable[[T], T]:
    """Register the decorated function (or the value a plain call is given) under a name.

    In the package all three arguments must be string literals. Raises ValueError when the name is taken by another
    module, because two definitions of one name would make results depend on the order of imports.
    """
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r} is not one of {', '.join(KINDS)}")

    def keep(value: T) -> T:
        module = getattr(value, "__module__", "")
        known = _index().get((kind, name)) or _outside.get((kind, name))
        if known is not None and known.module != module:
            raise ValueError(f"{kind} {name!r} is already registered by {known.module}")
        if known is None:
            _outside[kind, name] = Entry(kind, name, source, _first_line(value.__doc__), module)
        _loaded[kind, name] = value
        return value

    return keep


def entries(kind: Kind | None = None) -> list[Entry]:
    """Every registered entry, sorted by kind and name; of one kind where one is given."""
    found = {**_index(), **_outside}.values()
    return sorted((e for e in found if kind in (None, e.kind)), key=lambda e: (KINDS.index(e.kind), e.name))


def names(kind: Kind) -> list[str]:
    """The registered names of a kind, sorted."""
    return [entry.name for entry in entries(kind)]


def has(kind: Kind, name: str) -> bool:
    return (kind, name) in _index() or (kind, name) in _outside


def get(kind: Kind, name: str) -> Any:
    """The registered object; InputError with the nearest name where there is none."""
    if (kind, name) not in _loaded:
        entry = _index().get((kind, name))
        if entry is None:
            raise InputError(unknown(kind, name, names(kind)))
        module = importlib.import_module(entry.module)
        if (kind, name) not in _loaded:
            _loaded[kind, name] = module.load(name)
    return _loaded[kind, name]


def unknown(what: str, name: str, known: list[str]) -> str:
    """One line for a name that nobody registered, with the nearest that somebody did."""
    lower = {one.lower(): one for one in known}
    near = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.5)
    shown = name if len(name) <= _LONGEST_ECHO else f"{name[:_LONGEST_ECHO]}..."
    hint = f"did you mean {lower[near[0]]!r}?" if near else f"known: {', '.join(known) or 'none'}"
    return f"unknown {what} {shown!r}; {hint}"


@functools.cache
def _index() -> dict[tuple[str, str], Entry]:
    found: dict[tuple[str, str], Entry] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "@register(" not in text:
            continue
        module = ".".join(("augury", *path.relative_to(PACKAGE).with_suffix("").parts))
        for entry in _entries_of(ast.parse(text), module):
            if (entry.kind, entry.name) in found:
                raise ValueError(f"{entry.kind} {entry.name!r} is registered twice, last in {module}")
            found[entry.kind, entry.name] = entry
    for path in sorted(PACKAGE.glob("recipes/*.toml")):
        found["recipe", path.stem] = _recipe(path)
    return found


def _recipe(path: Path) -> Entry:
    """The entry of a recipe. Only the head of the file is parsed: the rows are many, and every command reads this index."""
    head, _, _ = path.read_text(encoding="utf-8").partition("\nrows")
    values = tomllib.loads(head)
    package = ".".join(("augury", *path.parent.relative_to(PACKAGE).parts))
    return Entry("recipe", path.stem, str(values.get("source", "")), str(values.get("title", "")), package)


def _entries_of(tree: ast.Module, module: str) -> list[Entry]:
    found = []
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        for call in node.decorator_list:
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "register":
                kind, name = (ast.literal_eval(argument) for argument in call.args)
                source = next(ast.literal_eval(k.value) for k in call.keywords if k.arg == "source")
                found.append(Entry(kind, name, source, _first_line(ast.get_docstring(node)), module))
    return found


def _first_line(text: str | None) -> str:
    return (text or "").strip().split("\n")[0].strip()
