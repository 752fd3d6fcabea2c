"""The registered functions that `--what` names, with their options."""

from typing import Any

from augury.core import registry
from augury.core.errors import InputError
from augury.core.options import Spec, bind, parse_list


def named(kind: registry.Kind, noun: str, what: str) -> dict[str, tuple[Spec, dict[str, Any]]]:
    """Functions of a registry kind keyed by the text that names them, with checked options; noun: the word for one in messages.

    Raises InputError for chains, unknown names, unknown options and repeated names.
    """
    found: dict[str, tuple[Spec, dict[str, Any]]] = {}
    for chain in parse_list(what, "--what"):
        if len(chain.stages) > 1:
            raise InputError(f"--what: {str(chain)!r} is a chain; separate {noun}s by commas")
        spec = chain.stages[0]
        if not registry.has(kind, spec.name):
            raise InputError(f"--what: {registry.unknown(noun, spec.name, registry.names(kind))}")
        if str(spec) in found:
            raise InputError(f"--what: {str(spec)!r} is named twice")
        found[str(spec)] = spec, bind(registry.get(kind, spec.name), spec, "--what")
    return found
