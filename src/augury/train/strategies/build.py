"""Builds strategies by name, and from functions."""

from functools import partial
from typing import Any

from augury.core import registry
from augury.core.doors import door
from augury.core.errors import InputError
from augury.core.options import Spec, bind, parse_spec
from augury.train.strategies.simple import LossFunction, SimpleStrategy, is_loss_function, name_of
from augury.train.strategies.strategy import Strategy


@door
def strategy(name: str | Spec | Strategy | LossFunction, /, **options: Any) -> Strategy:
    """A strategy by its registered name with options, `strategy("erm", smoothing=0.1)` or `strategy("erm(smoothing=0.1)")`.

    A function `(model, views) -> loss or Step`, passed or registered, is a strategy too; its keyword-only parameters are its
    options. A Strategy is returned unchanged. Raises InputError for unknown names and options.
    """
    if isinstance(name, Strategy):
        if options:
            raise InputError(f"strategy: {type(name).__name__} is already built; give its options when building it")
        return name
    if not isinstance(name, str | Spec):
        if not is_loss_function(name):
            raise InputError(f"strategy: {name!r} is not a strategy; give a name, a Strategy, or a function (model, views) -> loss")
        return SimpleStrategy(partial(name, **bind(name, Spec(name_of(name), options), "strategy")))
    spec = parse_spec(name, "strategy") if isinstance(name, str) else name
    spec = Spec(spec.name, {**spec.options, **options}, spec.first)
    if not registry.has("strategy", spec.name):
        raise InputError(f"--strategy: {registry.unknown('strategy', spec.name, registry.names('strategy'))}")
    made = registry.get("strategy", spec.name)
    bound = bind(made, spec, "--strategy")
    found = SimpleStrategy(partial(made, **bound)) if is_loss_function(made) else made(**bound)
    if not isinstance(found, Strategy):
        raise InputError(f"--strategy: {spec.name} returned {type(found).__name__}, which must inherit from augury.Strategy")
    return found
