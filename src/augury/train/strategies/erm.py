"""Plain training: the mean cross-entropy of one view."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Annotated

from torch import nn

from augury.core.errors import InputError
from augury.core.options import Interval
from augury.core.registry import register
from augury.train.strategies.strategy import Step, Strategy, Views


@dataclass
class Erm(Strategy):
    """Empirical risk minimisation over augmented images, with label smoothing in [0, 1)."""

    smoothing: float = 0.0
    several_labels: bool = True

    def __call__(self, model: nn.Module, views: Views, *, program: Hashable = None, turn: int = 0) -> Step:
        batch = views()
        if batch.targets is None:
            raise InputError("strategy: erm needs labels")
        losses = batch.targets.loss(model(batch.images), self.smoothing)
        return Step(losses.mean(), per_sample=losses.detach())


@register("strategy", "erm", source="Vapnik 1998 (empirical risk minimisation); smoothing: Szegedy et al. 2016, section 7")
def erm(*, smoothing: Annotated[float, Interval(0, 0.999)] = 0.0) -> Strategy:
    """Plain training: mean cross-entropy of the augmented images, optionally with label smoothing."""
    return Erm(smoothing)
