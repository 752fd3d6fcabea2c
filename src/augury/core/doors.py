"""The front doors' one check: an argument of a wrong type is refused as InputError that names it, whatever the function.

A decorated function keeps its signature for checkers and editors, and what it costs is a few comparisons for each call.
"""

import functools
import inspect
import numbers
import operator
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

import torch

from augury.core.errors import InputError
from augury.core.text import shortened

P = ParamSpec("P")
R = TypeVar("R")
_Parameter = tuple[str, Any, frozenset[type]]  # its name, its type, and types whose every value is of that type
_WORDS: dict[Any, str] = {
    int: "a whole number", float: "a number", str: "text", bool: "true or false", list: "a list", tuple: "a tuple", dict: "a dict",
}  # fmt: skip


def door(function: Callable[P, R]) -> Callable[P, R]:
    """The function, which refuses arguments that are not of the types it declares.

    >>> @door
    ... def root(value: float) -> float:
    ...     return value**0.5
    >>> root("4")
    Traceback (most recent call last):
        ...
    augury.core.errors.InputError: root(value='4') must be a number, got str
    """

    @functools.wraps(function)
    def checked(*given: P.args, **named: P.kwargs) -> R:
        if not torch.compiler.is_compiling():
            _check(function, given, named)
        return function(*given, **named)

    return checked


def _check(function: Callable[..., object], given: tuple[object, ...], named: dict[str, Any]) -> None:
    positions, by_name = _declared(function)
    for (name, hint, at_once), value in zip(positions, given, strict=False):
        if hint is not Any and type(value) not in at_once and not _is(value, hint):
            raise _refused(function, name, value, hint)
    for key, value in named.items():
        if key in by_name:
            name, hint, at_once = by_name[key]
            if type(value) not in at_once and not _is(value, hint):
                raise _refused(function, name, value, hint)


def _refused(function: Callable[..., object], name: str, value: object, hint: object) -> InputError:
    shown = shortened(repr(value), 60) if isinstance(value, str | int | float | bool | None) else "..."
    return InputError(f"{function.__name__}({name}={shown}) must be {_words(hint)}, got {type(value).__name__}")


@functools.cache
def _declared(function: Callable[..., Any]) -> tuple[tuple[_Parameter, ...], Mapping[str, _Parameter]]:
    """The positional parameters in order, and all that have a name by it; of type `Any` where nothing is declared."""
    # What it returns may be a name that checkers alone know.
    holder = types.SimpleNamespace(__annotations__={k: v for k, v in function.__annotations__.items() if k != "return"})
    hints, positions, named = get_type_hints(holder, function.__globals__), [], {}
    for parameter in inspect.signature(function).parameters.values():
        hint = hints.get(parameter.name, Any)
        declared = parameter.name, hint, _at_once(hint)
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            positions.append(declared)
        if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            named[parameter.name] = declared
    return tuple(positions), named


def _at_once(hint: Any) -> frozenset[type]:
    """The types whose every value is of a declared type, so that most arguments cost one look-up."""
    if get_origin(hint) in (Union, types.UnionType):
        return frozenset().union(*map(_at_once, get_args(hint)))
    if hint is None or hint is type(None):
        return frozenset({type(None)})
    plain = isinstance(hint, type) and get_origin(hint) is None and not _only_for_checkers(hint)
    return frozenset({hint}) if plain else frozenset()


def _is(value: object, hint: object) -> bool:
    """Whether a value is of a declared type, as far as can be seen without looking into containers."""
    if hint is Any or isinstance(hint, TypeVar):
        return True
    if hint is None or hint is type(None):
        return value is None
    origin = get_origin(hint)
    if origin is Annotated:
        return _is(value, get_args(hint)[0])
    if origin is Literal:
        return value in get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_is(value, one) for one in get_args(hint))
    if origin is type:
        return isinstance(value, type)
    kind = origin or hint
    if kind is int:
        return _whole(value)
    if kind is float:
        return _real(value)
    if kind is Sequence:
        return isinstance(value, Sequence) and not isinstance(value, str | bytes)
    if not isinstance(kind, type):
        return True
    return isinstance(value, kind) if not _only_for_checkers(kind) else True


def _whole(value: Any) -> bool:
    if isinstance(value, torch.Tensor) and value.numel() != 1:
        return False
    try:
        operator.index(value)
    except TypeError:
        return False
    return True


def _real(value: object) -> bool:
    if isinstance(value, torch.Tensor):
        return value.ndim == 0 and not value.is_complex()
    if not isinstance(value, numbers.Real):
        return False
    try:
        float(value)
    except OverflowError:
        return False
    return True


def _only_for_checkers(kind: type) -> bool:
    """Whether this is a protocol that says nothing at run time."""
    return getattr(kind, "_is_protocol", False) and not getattr(kind, "_is_runtime_protocol", False)


def _words(hint: object) -> str:
    origin = get_origin(hint)
    if origin is Annotated:
        return _words(get_args(hint)[0])
    if origin is Literal:
        return f"one of {', '.join(map(str, get_args(hint)))}"
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_words(one) for one in get_args(hint)))
    if hint is None or hint is type(None):
        return "None"
    if origin is Callable or hint is Callable:
        return "a function"
    kind = origin or hint
    return _WORDS.get(kind, getattr(kind, "__name__", str(kind)))
