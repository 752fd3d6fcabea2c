"""What a method card must say of a registered name's settings, read from its factory."""

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from augury.core import registry
from augury.core.laws import Beta, Choice, Constant, Law, Linear, LogUniform, Uniform
from augury.core.levels import Ladder
from augury.core.options import Interval, Registered

KINDS: tuple[registry.Kind, ...] = ("op", "policy", "preset", "strategy", "measurement", "theory")


@contextmanager
def forgetting_new_modules(of: Callable[[str], bool]) -> Iterator[None]:
    """New names are forgotten, and so are those modules imported while this lasts for whose names `of` is true."""
    before = set(sys.modules)
    with forgetting_new_names():
        yield
    for name in set(sys.modules) - before:
        if of(name):
            del sys.modules[name]


@contextmanager
def forgetting_new_names() -> Iterator[None]:
    """What registers from outside the package while this lasts is unknown again afterwards."""
    before = set(registry._outside)
    try:
        yield
    finally:
        for key in set(registry._outside) - before:
            del registry._outside[key]
            registry._loaded.pop(key, None)


def option_lines(kind: registry.Kind, name: str) -> dict[str, str]:
    """For each option of the factory: its default, and its range or choices."""
    factory = registry.get(kind, name)
    hints = get_type_hints(factory, include_extras=True)
    parameters = inspect.signature(factory).parameters.values()
    return {p.name: _default(p) + _allowed(hints[p.name]) for p in parameters if p.kind is p.KEYWORD_ONLY}


def parameter_lines(kind: registry.Kind, name: str) -> dict[str, str]:
    """For each parameter of an operation: the law it is drawn from, its range and unit; then `p`."""
    if kind != "op":
        return {}
    op = registry.get(kind, name)()
    lines = {}
    for key, parameter in op.parameters.items():
        neutral = f"; {op.identity[key]:g} changes nothing" if op.identity and key in op.identity else ""
        limits = "" if parameter.range == Interval() else f"; {parameter.range}, {parameter.unit}"
        lines[key] = f"drawn for every image; default {law_text(parameter.law)}{limits}{neutral}"
    return {**lines, "p": f"the probability of firing; default {op.p:g}"}


def law_text(law: Law) -> str:
    """A law as the grammar writes it, numbers to four digits."""
    match law:
        case Constant(number):
            return f"{number:.4g}"
        case Uniform(low, high):
            return f"uniform({low:.4g}, {high:.4g})"
        case LogUniform(low, high):
            return f"log_uniform({low:.4g}, {high:.4g})"
        case Beta(a, b):
            return f"beta({a:.4g})" if a == b else f"beta({a:.4g}, {b:.4g})"
        case Choice(numbers) | Ladder(numbers):
            return f"one of {', '.join(f'{n:g}' for n in numbers)}"
        case Linear(low, high):
            return f"{low:.4g} to {high:.4g} by strength"
    return type(law).__name__


def _default(parameter: inspect.Parameter) -> str:
    if parameter.default is parameter.empty:
        return "must be given"
    value = parameter.default
    return f"default {'none' if value is None else f'{value:g}' if isinstance(value, float) else value}"


def _allowed(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return f"; {' or '.join(map(str, get_args(hint)))}"
    if get_origin(hint) is Annotated:
        limit = next(limit for limit in get_args(hint) if isinstance(limit, Interval | Registered))
        return f"; {limit}" if isinstance(limit, Interval) else f"; {' or '.join(registry.names(limit.kind))}"
    found = [_allowed(part) for part in get_args(hint) if part is not type(None)]
    return next((text for text in found if text), "")
