"""The front door to strategies."""

from typing import Any

from augury.core import registry
from augury.core.errors import InputError
from augury.core.options import Spec, bind, parse_spec
from augury.train.strategies.strategy import Strategy


def strategy(name: str | Spec, /, **options: Any) -> Strategy:
    """A strategy by its registered name with options, `strategy("erm", smoothing=0.1)` or `strategy("erm(smoothing=0.1)")`.

    Raises InputError for unknown names and options.
    """
    spec = parse_spec(name, "strategy") if isinstance(name, str) else name
    spec = Spec(spec.name, {**spec.options, **options}, spec.first)
    if not registry.has("strategy", spec.name):
        raise InputError(f"--strategy: {registry.unknown('strategy', spec.name, registry.names('strategy'))}")
    made = registry.get("strategy", spec.name)
    return made(**bind(made, spec, "--strategy"))
