"""The registry: the only place where names are looked up.

A name is registered once, by a decorator in the file that defines it; there is no list to edit. `augury.core.index` finds
Augury's own names without importing anything; a module is imported when its name is first looked up. Names from outside
the package (a notebook, a user's file, an installed package, see `augury.core.plugins`) are registered when their
decorator runs; installed plug-ins are loaded when a name is looked up that is not Augury's own.
"""

import difflib
import functools
import importlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from augury.core import other_names
from augury.core.errors import InputError
from augury.core.importing import import_plugin
from augury.core.index import FORM, KINDS, OLD_KINDS, PACKAGE, Kind, Registration, first_line, index, kind_of

__all__ = [
    "KINDS", "PACKAGE", "Registration", "Kind", "all_or_nothing", "distributions", "entries", "get", "has", "load_installed",
    "names", "outside", "register", "unknown", "withdraw",
]  # fmt: skip

GROUP = "augury.plugins"
SESSION = "__main__"
# Kinds that can occur in the same chain; a name belongs to at most one of them.
AUGMENTATIONS: tuple[Kind, ...] = ("op", "preset", "policy")
# What messages call them.
_AUGMENTATION_WORDS = (*AUGMENTATIONS, "augmentation", "operation", "pipeline")
T = TypeVar("T")
_LONGEST_ECHO = 60  # characters of an unknown name that are repeated in the message
_NAME = re.compile(r"[a-z][a-z0-9_]*")

_loaded: dict[tuple[str, str], Any] = {}
_outside: dict[tuple[str, str], Registration] = {}


def register(kind: Kind, name: str, *, source: str = "") -> Callable[[T], T]:
    """Register the decorated function (or the argument of a plain call) under a name.

    Within the package it must be written `@register(...)` above a module-level function, with string literals and a source,
    since the index reads source files. Outside the package, `@augury.register("op", "mine")` is enough.
    Raises InputError if the name is taken, because with two definitions of one name, results would depend on the order of
    imports; a cell or a file that is run again replaces its own names.
    """
    if kind not in KINDS and kind not in OLD_KINDS:
        raise InputError(f"register: {unknown('kind', str(kind), [*KINDS])}")
    kind = kind_of(kind)

    def decorate(value: T) -> T:
        module = getattr(value, "__module__", None) or type(value).__module__
        module = SESSION if module == "__mp_main__" else module  # a script, as its spawned processes call it
        entry = Registration(kind, name, source, first_line(value.__doc__), module)
        known = index().get((kind, name))
        if entry.own:
            if known is None:
                raise ValueError(f"{module}: {kind} {name!r} is not in the index; {FORM}")
            if known.module != module:
                raise ValueError(f"{kind} {name!r} is already registered by {known.module}")
        else:
            _refuse_taken(entry, value)
            _outside[kind, name] = entry
        _loaded[kind, name] = value
        return value

    return decorate


def _refuse_taken(entry: Registration, value: object) -> None:
    """InputError for a plug-in's name that cannot be written in a chain or is already taken."""
    if not _NAME.fullmatch(entry.name):
        raise InputError(
            f"register: {entry.name!r} must be lower-case letters, digits and underscores, for example my_{entry.kind}"
        )
    for kind in AUGMENTATIONS if entry.kind in AUGMENTATIONS else (entry.kind,):
        known = index().get((kind, entry.name)) or _outside.get((kind, entry.name))
        if known is None:
            continue
        again = (known.kind, known.module) == (entry.kind, entry.module)
        if not again or (known.module != SESSION and _called(_loaded[kind, entry.name]) != _called(value)):
            raise InputError(f"register: {kind} {entry.name!r} is already registered by {known.module}; choose another name")


def _called(value: object) -> str:
    return getattr(value, "__qualname__", "")


def entries(kind: Kind | None = None) -> list[Registration]:
    """Every registered entry (of one kind, if given), including those of installed plug-ins, sorted by kind and name."""
    load_installed()
    kind = kind if kind is None else kind_of(kind)
    found = {**index(), **_outside}.values()
    return sorted((e for e in found if kind in (None, e.kind)), key=lambda e: (KINDS.index(e.kind), e.name))


def names(kind: Kind) -> list[str]:
    """The registered names of a kind, sorted."""
    return [entry.name for entry in entries(kind)]


def has(kind: Kind, name: str) -> bool:
    """Whether the name is registered; loads installed plug-ins if it is not one of Augury's own."""
    kind, own = kind_of(kind), index()
    if (kind, name) in own or (kind, name) in _outside:
        return True
    if kind in AUGMENTATIONS and any((other, name) in own for other in AUGMENTATIONS):
        return False
    load_installed()
    return (kind, name) in _outside


def get(kind: Kind, name: str) -> Any:
    """The registered object; InputError with the most similar name if there is none."""
    kind = kind_of(kind)
    if (kind, name) not in _loaded:
        if not has(kind, name):
            raise InputError(unknown(kind, name, names(kind)))
        if (kind, name) not in _loaded:
            module = importlib.import_module(index()[kind, name].module)
            if (kind, name) not in _loaded:
                _loaded[kind, name] = module.load(name)
    return _loaded[kind, name]


def outside() -> list[Registration]:
    """The entries from outside the package that are registered so far."""
    return list(_outside.values())


@contextmanager
def all_or_nothing() -> Iterator[None]:
    """If the block fails, all names that plug-ins registered in it are removed again."""
    before = {key: (entry, _loaded[key]) for key, entry in _outside.items()}
    try:
        yield
    except BaseException:
        for key in set(_outside) - set(before):
            _loaded.pop(key, None)
        _outside.clear()
        _outside.update({key: entry for key, (entry, _) in before.items()})
        _loaded.update({key: value for key, (_, value) in before.items()})
        raise


def withdraw(module: str) -> None:
    """Remove the names of a plug-in's module, which is about to be run again."""
    for key in [key for key, entry in _outside.items() if entry.module == module]:
        del _outside[key], _loaded[key]


@functools.cache
def load_installed() -> None:
    """Load the plug-ins of installed packages, once per process; InputError naming the package if one fails."""
    for point, label in _entry_points():
        with all_or_nothing():
            import_plugin(point, f"the installed plug-in {label}")


@functools.cache
def distributions() -> dict[str, str]:
    """The installed packages that have plug-ins: top-level module to name and version."""
    return {module.partition(".")[0]: label for module, label in _entry_points()}


def _entry_points() -> list[tuple[str, str]]:
    from importlib.metadata import entry_points

    found = entry_points(group=GROUP)
    return [(p.module, p.name if p.dist is None else f"{p.dist.name} {p.dist.version}") for p in found]


def unknown(what: str, name: str, known: list[str]) -> str:
    """The message for an unknown name: one line, with what another library's name is here, or the most similar registered name."""
    theirs = other_names.hint(name, known) if what in _AUGMENTATION_WORDS else ""
    if theirs:
        return f"unknown {what} {name!r}; {theirs}"
    lower = {one.lower(): one for one in known}
    near = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.5)
    shown = name if len(name) <= _LONGEST_ECHO else f"{name[:_LONGEST_ECHO]}..."
    hint = f"did you mean {lower[near[0]]!r}?" if near else f"known: {', '.join(known) or 'none'}"
    return f"unknown {what} {shown!r}; {hint}"
