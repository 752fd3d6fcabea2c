"""Sequences of transformation functions, applied step by step so that every intermediate state can be inspected."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from augury.augment.functions import Function, called, described, name_of
from augury.augment.policies.fixed import FixedPlan
from augury.augment.stages.plan import PlanStage
from augury.core.batch import Batch
from augury.core.noise import Noise
from augury.core.plan import Space


class Functions(Protocol):
    """K transformation functions. `states(data, actions [N,T], noise)` is the data after 0, 1, ..., T steps: T + 1 tensors."""

    @property
    def names(self) -> tuple[str, ...]: ...
    def states(self, data: Tensor, actions: Tensor, noise: Noise) -> list[Tensor]: ...


@dataclass(frozen=True)
class Callables:
    """Functions on batches of any data (pixels, tokens, audio samples); each receives the rows [n, ...] it was drawn for.

    A function must keep shape and dtype and must not modify its input; otherwise InputError names it.
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
        """The data after applying each row's function once. action: int64 [N]."""
        result = data.clone()
        for number in action.unique().tolist():
            rows = (action == number).nonzero()[:, 0]
            result[rows] = called(self.functions[number], data[rows])
        return result


@dataclass(frozen=True)
class Operations:
    """Operations on images, one entry of the space per function, executed by the same stage as in a pipeline."""

    space: Space

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(described(entry) for entry in self.space.entries)

    def states(self, data: Tensor, actions: Tensor, noise: Noise) -> list[Tensor]:
        """data: uint8 [N,C,H,W]. The last state equals that of a stage of T slots with the same noise."""
        batch = Batch(data, None, noise.key)
        trace = PlanStage("functions", FixedPlan(self.space, actions)).sample(batch, noise)
        single = PlanStage("functions", FixedPlan(self.space, actions[:, :1]))
        found = [data]
        for step in range(actions.shape[1]):
            column = {name: part[:, step : step + 1] for name, part in trace.items()}
            batch = single.apply(batch, column)
            found.append(batch.images)
        return found
