"""A user's own functions as transformation functions, checked, and sequences of them applied step by step."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from augury.augment.build import op_stage
from augury.augment.stage import PlanStage
from augury.core import registry
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.op import Op, Values
from augury.core.options import Spec, parse_spec
from augury.core.plan import Choice, Clock, Plan, Single, Space

Function = Callable[[Tensor], Tensor]


class Functions(Protocol):
    """K transformation functions. `states(data, actions [N,T], noise)` is the data after 0, 1 .. T steps: T + 1 tensors."""

    @property
    def names(self) -> tuple[str, ...]: ...
    def states(self, data: Tensor, actions: Tensor, noise: Noise) -> list[Tensor]: ...


@dataclass(frozen=True)
class Callables:
    """Functions on batches of anything: each takes the rows it is drawn for, [n, ...], and gives as many back.

    Shape and dtype stay, the input stays as it was, nothing is said of what the numbers mean: pixels, tokens, samples of
    sound. Whatever breaks this raises InputError naming the function.
    """

    functions: tuple[Function, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(map(name_of, self.functions))

    def states(self, data: Tensor, actions: Tensor, noise: Noise | None = None) -> list[Tensor]:
        found = [data]
        for step in range(actions.shape[1]):
            found.append(self.step(found[-1], actions[:, step]))
        return found

    def step(self, data: Tensor, action: Tensor) -> Tensor:
        """The data with each row's function, int64 [N], applied once."""
        result = data.clone()
        for number in action.unique().tolist():
            rows = (action == number).nonzero()[:, 0]
            result[rows] = called(self.functions[number], data[rows])
        return result


@dataclass(frozen=True)
class Operations:
    """Operations on images, one entry of the space per function, run by the same stage as in a pipeline."""

    space: Space

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(described(entry) for entry in self.space.entries)

    def states(self, data: Tensor, actions: Tensor, noise: Noise) -> list[Tensor]:
        """data: uint8 [N,C,H,W]. The last state equals that of a stage of T slots with the same noise."""
        batch = Batch(data, None, noise.key)
        trace = PlanStage("functions", Given(self.space, actions)).sample(batch, noise)
        single = PlanStage("functions", Given(self.space, actions[:, :1]))
        found = [data]
        for step in range(actions.shape[1]):
            column = {name: part[:, step : step + 1] for name, part in trace.items()}
            batch = single.apply(batch, column)
            found.append(batch.images)
        return found


@dataclass(frozen=True)
class Given:
    """A policy that says what it was told: `actions` int64 [B,S]. Draws nothing, learns nothing."""

    space: Space
    actions: Tensor

    @property
    def slots(self) -> int:
        return self.actions.shape[1]

    def ask(self, noise: Noise, clock: Clock) -> Plan:
        on = torch.ones_like(self.actions, dtype=torch.bool)
        return Plan(self.actions, on.to(torch.float32), on)

    def log_prob(self, plan: Plan) -> Tensor:
        return torch.zeros(len(plan.op), device=plan.op.device)


def function_space(functions: Sequence[str | Spec | Function], where: str = "functions") -> Space:
    """A space with one entry per function: an operation with fixed values, `rotate(degrees=5)`, or a callable on a batch.

    Raises InputError for unknown names and values, and for fewer than two functions.
    """
    if len(functions) < 2:
        raise InputError(f"{where}: one function alone leaves nothing to choose; name two or more")
    return Space(tuple(_choice(function, where) for function in functions))


def described(entry: Choice) -> str:
    """An entry as the grammar writes it: `rotate(degrees=5)`; parameters that are drawn anew are left out."""
    fixed = {n: law.number for n, law in entry.laws.items() if hasattr(law, "number")}
    return str(Spec(entry.op.name, fixed))


def name_of(function: Function) -> str:
    return getattr(function, "__name__", type(function).__name__)


def called(function: Function, data: Tensor) -> Tensor:
    """The function's result on data [n, ...]; InputError where it raises, changes shape or dtype, or edits its input."""
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
            f"function {name_of(function)!r} edits its input in place; return a new tensor, for example of data.clone()"
        )
    return result


def _choice(function: str | Spec | Function, where: str) -> Choice:
    if isinstance(function, str | Spec):
        spec = parse_spec(function, where) if isinstance(function, str) else function
        policy = op_stage(spec, where).policy
        assert isinstance(policy, Single)
        choice = policy.choice
        fixed = {key: value for key, value in spec.options.items() if key not in (*choice.op.parameters, "p")}
        if spec.first and not (choice.op.parameters and next(iter(choice.op.parameters)) in choice.laws):
            fixed[next(iter(inspect.signature(registry.get("op", spec.name)).parameters))] = spec.first[0]
        return replace(choice, options=fixed)
    if not callable(function):
        raise InputError(f"{where}: {function!r} is neither the name of an operation nor a function on a batch")
    return Choice(_operation(function))


def _operation(function: Function) -> Op:
    def run(images: Tensor, values: Values, size: Tensor) -> Tensor:
        return called(function, images)

    return Op(name_of(function), "map", run)
