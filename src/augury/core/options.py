"""Options: the same check against declared types for the command line, YAML files and Python."""

import difflib
import inspect
import math
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from augury.core import registry
from augury.core.errors import InputError
from augury.core.grammar import Chain, Spec, chain_from, parse_chain, parse_list, parse_spec, show, text_from
from augury.core.text import shortened

__all__ = [
    "Chain",
    "Interval",
    "Registered",
    "Spec",
    "bind",
    "chain_from",
    "convert",
    "parse_chain",
    "parse_list",
    "parse_spec",
    "text_from",
]


@dataclass(frozen=True)
class Interval:
    """The closed range an option's number must lie in: `Annotated[float, Interval(0, 1)]`. It never contains infinity."""

    low: float = -math.inf
    high: float = math.inf

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high and abs(value) != math.inf

    def __str__(self) -> str:
        if self.high == math.inf:
            return f"at least {self.low:g}"
        return f"at most {self.high:g}" if self.low == -math.inf else f"from {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Registered:
    """The kind of which an option's word must be a registered name: `Annotated[str, Registered("saliency")]`."""

    kind: registry.Kind


def bind(function: Callable[..., object], spec: Spec, where: str) -> dict[str, Any]:
    """The options of `spec`, checked and converted to the declared types of `function`'s keyword-only parameters.

    Raises InputError naming the option and its range or choices; for an unknown option, the most similar one.
    """
    hints = get_type_hints(function, include_extras=True)
    parameters = {n: p for n, p in inspect.signature(function).parameters.items() if p.kind is p.KEYWORD_ONLY}
    given = dict(spec.options)
    if len(spec.first) > 1 or (spec.first and not parameters):
        taken, said = "one value" if parameters else "no value", shortened(str(spec))
        raise InputError(f"{where}: {spec.name} takes {taken} without a key: {said}")
    if spec.first:
        key = next(iter(parameters))
        if key in given:
            raise InputError(f"{where}: {spec.name} is given {key!r} twice")
        given[key] = spec.first[0]
    for key in given:
        if key not in parameters:
            raise InputError(f"{where}: {spec.name} has no option {key!r}; {_nearest(key, list(parameters))}")
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and key not in given:
            raise InputError(f"{where}: {spec.name} needs the option {key!r}")
    return {k: convert(v, hints.get(k, Any), f"{where}: {spec.name}({k}={shortened(show(v))})") for k, v in given.items()}


def convert(value: object, hint: object, where: str) -> Any:
    """`value` converted to the declared type `hint`; InputError starting with `where` if that is impossible."""
    if hint is Any:
        return value
    origin = get_origin(hint)
    if origin is Annotated:
        base, *limits = get_args(hint)
        result = convert(value, base, where)
        for limit in limits:
            if isinstance(limit, Interval) and isinstance(result, int | float) and result not in limit:
                raise InputError(f"{where} must be {limit}")
            if isinstance(limit, Registered) and not registry.has(limit.kind, result):
                known = registry.names(limit.kind)
                raise InputError(f"{where} must be one of {', '.join(known)}")
        return result
    if origin in (Union, types.UnionType):
        return _convert_union(value, get_args(hint), where)
    if origin is Literal:
        if value in get_args(hint):
            return value
        if isinstance(value, Spec) and not value.options and not value.first and value.name in get_args(hint):
            return value.name
        raise InputError(f"{where} must be one of {', '.join(map(str, get_args(hint)))}")
    if origin in (tuple, list):
        inner = get_args(hint)[0] if get_args(hint) else Any
        items = value if isinstance(value, list | tuple) else [value]
        return origin(convert(item, inner, where) for item in items)
    return _convert_plain(value, hint, where)


def _convert_union(value: object, hints: tuple[object, ...], where: str) -> Any:
    if value is None and type(None) in hints:
        return None
    errors = []
    for hint in (h for h in hints if h is not type(None)):
        try:
            return convert(value, hint, where)
        except InputError as error:
            errors.append(error)
    raise errors[0]


def _convert_plain(value: Any, hint: Any, where: str) -> Any:
    if hint is Chain:
        return chain_from(value, where)
    if hint is Spec:
        chain = chain_from(value, where)
        if len(chain.stages) != 1:
            raise InputError(f"{where} takes one name, not a chain")
        return chain.stages[0]
    if isinstance(value, Chain | Spec):
        if hint is str:
            return str(value)
        raise InputError(f"{where} must be {_TYPES.get(hint, hint.__name__)}")
    if hint is bool and isinstance(value, bool):
        return value
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int and number and abs(value) < 2**53 and float(value).is_integer():
        return int(value)
    if hint is float and number and (isinstance(value, float) or abs(value) < 1e300) and not math.isnan(value):
        return float(value)
    if hint is str and not isinstance(value, bool | list | dict | None):
        return str(value)
    if hint not in _TYPES and isinstance(value, hint):
        return value
    raise InputError(f"{where} must be {_TYPES.get(hint, getattr(hint, '__name__', hint))}")


_TYPES: dict[Any, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}


def _nearest(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"its options: {', '.join(known) or 'none'}"
