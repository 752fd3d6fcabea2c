"""SimpleStrategy: a strategy that learns nothing and has no trained parts of its own, from one function."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from augury.core.plan import Clock
from augury.train.strategies.strategy import Step, Views

LossOf = Callable[[nn.Module, Views, int], Step]


@dataclass
class SimpleStrategy:
    """`loss_of(model, views, turn)` as a strategy. networks, pipelines: see `Strategy`. check(model) raises InputError for a
    network that the rule cannot train, before anything is written."""

    loss_of: LossOf
    networks: int = 1
    pipelines: int = 1
    turns: int = 1
    streams: tuple[str, ...] = ("train",)
    check: Callable[[nn.Module], None] | None = None

    def modules(self, model: nn.Module) -> dict[str, nn.Module]:
        if self.check is not None:
            self.check(model)
        return {}

    def program(self, clock: Clock) -> Any:
        return None

    def __call__(self, model: nn.Module, views: Views, *, program: Any = None, turn: int | None = None) -> Step:
        return self.loss_of(model, views, turn or 0)

    def end_epoch(self, clock: Clock) -> None:
        """Learns nothing between epochs."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Has no state."""
