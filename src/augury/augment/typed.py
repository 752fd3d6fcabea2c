"""Builds augmentations by functions with signatures, `augury.ops.rotate(degrees=(-30, 30))`, equivalent to the text.

Each function writes what it is given as the grammar's text has it and builds that, so that text, YAML and objects are one
thing. The signatures are made from the registered factories; `tools/stubs.py` writes them down for editors and checkers.
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, get_type_hints

from augury.augment.names import pipeline
from augury.augment.pipeline import Pipeline
from augury.core import registry
from augury.core.laws import Law
from augury.core.options import Chain, Spec
from augury.core.stage import Stage

# What an operation's parameter may be: a number, a range (low, high) to draw uniformly from, a list of numbers to draw one
# of, or a law.
Drawn = float | tuple[float, float] | list[float] | Law
# What an option that takes an augmentation may be: text of the grammar, something built, or a list of those.
Augmentation = str | Pipeline | Stage | Sequence[str | Pipeline | Stage]


@functools.cache
def builder(kind: registry.Kind, name: str) -> Callable[..., Pipeline]:
    """The function that builds a registered augmentation from its options; AttributeError with the nearest name for others."""
    if not registry.has(kind, name):
        raise AttributeError(registry.unknown(kind, name, registry.names(kind)))

    def build(**options: Any) -> Pipeline:
        return pipeline(name, **options)

    build.__name__ = build.__qualname__ = name
    build.__doc__ = registry.get(kind, name).__doc__
    build.__module__ = {"op": "augury.ops", "policy": "augury.policies", "preset": "augury.presets"}[kind]
    build.__signature__ = signature(kind, name)  # type: ignore[attr-defined]
    return build


def signature(kind: registry.Kind, name: str) -> inspect.Signature:
    """The options of a registered augmentation, all by keyword; those of an operation are its factory's, its parameters and p."""
    factory = registry.get(kind, name)
    hints = get_type_hints(factory)
    found = [
        p.replace(annotation=_accepted(hints.get(p.name, Any)))
        for p in inspect.signature(factory).parameters.values()
        if p.kind is p.KEYWORD_ONLY
    ]
    if kind == "op":
        op = factory()
        found += [_keyword(parameter, Drawn | None) for parameter in op.parameters if parameter not in hints]
        found.append(_keyword("p", float | None))
    return inspect.Signature(found, return_annotation=Pipeline)


def _keyword(name: str, hint: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hint)


def _accepted(hint: Any) -> Any:
    """What the typed function takes where a factory is given `hint`: an augmentation for a chain, a law's forms for anything."""
    if hint is Any:
        return Drawn | list[Drawn | None] | None
    if hint in (Chain, Spec):
        return Augmentation
    if hint == tuple[Spec, ...]:
        return Sequence[str]
    arguments = getattr(hint, "__args__", ())
    if type(None) in arguments and any(_accepted(each) != each for each in arguments):
        inner = [_accepted(each) for each in arguments if each is not type(None)]
        return functools.reduce(lambda a, b: a | b, inner) | None
    return hint
