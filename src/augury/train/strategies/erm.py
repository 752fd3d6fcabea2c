"""Plain training: the mean cross-entropy of one view."""

from dataclasses import dataclass
from typing import Annotated, Any

from torch import nn

from augury.core.errors import InputError
from augury.core.options import Interval
from augury.core.plan import Clock
from augury.core.registry import register
from augury.train.strategies.strategy import Step, Strategy, Views


@dataclass
class Erm:
    """Empirical risk minimisation over augmented images, with label smoothing in [0, 1)."""

    smoothing: float = 0.0
    streams: tuple[str, ...] = ("train",)
    turns: int = 1

    def modules(self, model: nn.Module) -> dict[str, nn.Module]:
        return {}

    def program(self, clock: Clock) -> Any:
        return None

    def __call__(self, model: nn.Module, views: Views, *, program: Any = None, turn: int | None = None) -> Step:
        batch = views()
        if batch.targets is None:
            raise InputError("strategy: erm needs labels")
        losses = batch.targets.loss(model(batch.images), self.smoothing)
        return Step(losses.mean(), per_sample=losses.detach())

    def end_epoch(self, clock: Clock) -> None:
        """Learns nothing between epochs."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Has no state."""


@register("strategy", "erm", source="Vapnik 1998 (empirical risk minimisation); smoothing: Szegedy et al. 2016, section 7")
def erm(*, smoothing: Annotated[float, Interval(0, 0.999)] = 0.0) -> Strategy:
    """Plain training: mean cross-entropy of the augmented images, optionally with label smoothing."""
    return Erm(smoothing)
