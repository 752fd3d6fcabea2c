"""Transformation functions that a policy chooses from: operations with fixed values, or users' own functions."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from augury.augment.ops.build import single
from augury.core import registry
from augury.core.errors import InputError
from augury.core.op import Op, Values
from augury.core.options import Spec, parse_spec
from augury.core.plan import Space, SpaceEntry

Function = Callable[[Tensor], Tensor]


def function_space(functions: Sequence[str | Spec | Function], where: str = "functions") -> Space:
    """A space with one entry per function: an operation with fixed values, `rotate(degrees=5)`, or a callable on a batch.

    Raises InputError for unknown names and values, and for fewer than two functions.
    """
    if len(functions) < 2:
        raise InputError(f"{where}: name at least two functions to choose from")
    return Space(tuple(_choice(function, where) for function in functions))


def described(entry: SpaceEntry) -> str:
    """An entry as text in the grammar, `rotate(degrees=5)`, without the parameters that are drawn."""
    fixed = {n: law.number for n, law in entry.laws.items() if hasattr(law, "number")}
    return str(Spec(entry.op.name, fixed))


def name_of(function: Function) -> str:
    return getattr(function, "__name__", type(function).__name__)


def called(function: Function, data: Tensor) -> Tensor:
    """The function's result on data [n, ...]; InputError if it raises, changes shape or dtype, or modifies its input."""
    before = data.clone()
    try:
        result = function(data)
    except Exception as error:
        words = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"function {name_of(function)!r} raised {words}") from error
    if not isinstance(result, Tensor) or result.shape != data.shape or result.dtype != data.dtype:
        found = f"{result.dtype} {list(result.shape)}" if isinstance(result, Tensor) else type(result).__name__
        raise InputError(
            f"function {name_of(function)!r} turned {data.dtype} {list(data.shape)} into {found}; it must keep shape and dtype"
        )
    if not torch.equal(before, data):
        raise InputError(
            f"function {name_of(function)!r} modifies its input in place; return a new tensor, for example from data.clone()"
        )
    return result


def _choice(function: str | Spec | Function, where: str) -> SpaceEntry:
    if isinstance(function, str | Spec):
        spec = parse_spec(function, where) if isinstance(function, str) else function
        choice = single(spec, where).entry
        fixed = {key: value for key, value in spec.options.items() if key not in (*choice.op.parameters, "p")}
        if spec.first and not (choice.op.parameters and next(iter(choice.op.parameters)) in choice.laws):
            fixed[next(iter(inspect.signature(registry.get("op", spec.name)).parameters))] = spec.first[0]
        return replace(choice, options=fixed)
    if not callable(function):
        raise InputError(f"{where}: {function!r} is neither the name of an operation nor a function on a batch")
    return SpaceEntry(_operation(function))


def _operation(function: Function) -> Op:
    def run(images: Tensor, values: Values, size: Tensor) -> Tensor:
        return called(function, images)

    return Op(name_of(function), "map", run)
