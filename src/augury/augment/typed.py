"""Functions with signatures that build augmentations, `augury.ops.rotate(degrees=(-30, 30))`, equivalent to the text.

Each function converts its arguments to the grammar and builds from that, so that text, YAML and objects give the same result.
The signatures are derived from the registered factories; `tools/stubs.py` writes them to stubs for editors and type checkers.
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

# An operation's parameter: a number, a range (low, high) to draw from uniformly, a list of numbers to draw from, or a law.
Drawn = float | tuple[float, float] | list[float] | Law
# An option that takes an augmentation: text in the grammar, a pipeline, a stage, or a list of those.
Augmentation = str | Pipeline | Stage | Sequence[str | Pipeline | Stage]


@functools.cache
def builder(kind: registry.Kind, name: str) -> Callable[..., Pipeline]:
    """The function that builds a registered augmentation from its options; AttributeError for an unknown name."""
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
    """The keyword options of a registered augmentation; for an operation, its factory's options, its parameters and p."""
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


def _keyword(name: str, hint: object) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hint)


def _accepted(hint: object) -> Any:
    """The typed function's annotation for a factory's `hint`: an augmentation for a chain, a number or law for Any."""
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
