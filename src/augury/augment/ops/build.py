"""Builds operations from a name and options (cached), or from text with laws for their parameters."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from augury.core import registry
from augury.core.errors import InputError
from augury.core.laws import Law, law_from
from augury.core.op import Op
from augury.core.options import Interval, Spec, bind, convert
from augury.core.plan import Single, SpaceEntry


def op(name: str, where: str = "op", **options: object) -> Op:
    """An operation by its registered name with its fixed options; the same object for the same options."""
    made = registry.get("op", name)
    return _made(made, tuple(sorted(bind(made, Spec(name, options), where).items())))


@functools.lru_cache(maxsize=4096)
def _made(factory: Callable[..., Op], options: tuple[tuple[str, Any], ...]) -> Op:
    return factory(**dict(options))


def single(spec: Spec, where: str) -> Single:
    """The policy of a single operation, from its text.

    Options: those of the operation's factory, laws for its parameters, and `p`, the probability that it fires.
    """
    plain, fixed = _factory(spec, where)
    names = list(plain.parameters)
    options = dict(spec.options)
    options |= _leading(spec, names, where)
    chance = convert(options.pop("p", plain.p), float, f"{where}: {spec.name}(p)")
    if chance not in Interval(0, 1):
        raise InputError(f"{where}: {spec.name}(p={chance:g}) must be from 0 to 1")
    laws = {n: law_from(options[n], f"{where}: {spec.name}({n}={options[n]})") for n in names if n in options}
    for name, law in laws.items():
        _check_support(law, plain.parameters[name].range, f"{where}: {spec.name}({name})")
    return Single(SpaceEntry(plain, laws, fixed), chance)


def _leading(spec: Spec, parameters: list[str], where: str) -> dict[str, Any]:
    """The value given without a key: the factory's first option if the value is valid for it, otherwise the first parameter.

    `cutout(8)` is a length and `crop(4)` a padding; `rotate(30)` is degrees, since 30 is not an interpolation.
    """
    if not spec.first:
        return {}
    made, fixed = registry.get("op", spec.name), option_names(spec.name)
    if len(spec.first) == 1 and fixed:
        try:
            bind(made, Spec(spec.name, {fixed[0]: spec.first[0]}), where)
        except InputError:
            if not parameters:
                raise
        else:
            return _once(spec, fixed[0], where)
    if len(spec.first) > 1 or not parameters:
        raise InputError(f"{where}: {spec.name} takes {'one value' if parameters or fixed else 'no value'} without a key: {spec}")
    return _once(spec, parameters[0], where)


def _once(spec: Spec, key: str, where: str) -> dict[str, Any]:
    if key in spec.options:
        raise InputError(f"{where}: {spec.name} is given {key!r} twice: {spec}")
    return {key: spec.first[0]}


def _factory(spec: Spec, where: str) -> tuple[Op, dict[str, Any]]:
    """The operation with those of the spec's options that belong to its factory, and these; InputError for unknown ones."""
    made = registry.get("op", spec.name)
    plain: Op = made()
    given = {**spec.options, **_leading(spec, list(plain.parameters), where)}
    fixed = {k: v for k, v in given.items() if k in option_names(spec.name)}
    options = bind(made, Spec(spec.name, fixed), where)
    result: Op = made(**options)
    known = [*option_names(spec.name), *result.parameters, "p"]
    for key in spec.options:
        if key not in known:
            raise InputError(f"{where}: {registry.unknown(f'option of {spec.name}', key, known)}")
    return result, options


def option_names(name: str) -> list[str]:
    return [n for n, p in inspect.signature(registry.get("op", name)).parameters.items() if p.kind is p.KEYWORD_ONLY]


def _check_support(law: Law, allowed: Interval, where: str) -> None:
    if law.support.low not in allowed or law.support.high not in allowed:
        raise InputError(f"{where} must be {allowed}")
