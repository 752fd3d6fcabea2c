"""SimpleStrategy: a strategy from one function, for losses without state and without trainable parts."""

import inspect
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from augury.core.errors import InputError
from augury.train.strategies.strategy import Seen, Step, Strategy, Views

LossFunction = Callable[[nn.Module, Views], Tensor | Step]


@dataclass
class SimpleStrategy(Strategy):
    """`loss_of(model, views)`, or `loss_of(model, views, turn)` with several turns, as a strategy.

    The function calls `views` as often as it needs and returns a scalar loss or a `Step`. Other fields: see `Strategy`.
    check(model) raises InputError for an unsuitable network, before anything is written.

    >>> def entropy_regularised(model, views):
    ...     batch = views()
    ...     logits = model(batch.images)
    ...     return batch.targets.loss(logits).mean() + 0.1 * (logits.softmax(1) * logits.log_softmax(1)).sum(1).mean()
    >>> SimpleStrategy(entropy_regularised).turns
    1
    """

    loss_of: Callable[..., Tensor | Step]
    networks: int = 1
    pipelines: int = 1
    turns: int = 1
    several_labels: bool = False
    streams: tuple[str, ...] = ("train",)
    seen: tuple[Seen, ...] = (Seen(),)
    check: Callable[[nn.Module], None] | None = None

    def modules(self, model: nn.Module) -> dict[str, nn.Module]:
        if self.check is not None:
            self.check(model)
        return {}

    def __call__(self, model: nn.Module, views: Views, *, program: Hashable = None, turn: int = 0) -> Step:
        made = self.loss_of(model, views) if self.turns == 1 else self.loss_of(model, views, turn)
        if isinstance(made, Step):
            return made
        if not isinstance(made, Tensor) or made.ndim:
            found = f"a tensor {list(made.shape)}" if isinstance(made, Tensor) else type(made).__name__
            raise InputError(f"strategy: {name_of(self.loss_of)} returned {found}; return a scalar loss or a Step")
        return Step(made)


def is_loss_function(made: Callable[..., object]) -> bool:
    """Whether this is a function of `(model, views)` and not a factory, whose options are all keywords."""
    if isinstance(made, type) or not callable(made):
        return False
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in kinds and p.default is p.empty for p in inspect.signature(made).parameters.values()) == 2


def name_of(function: Callable[..., object]) -> str:
    """The function's name, for messages, or that of its class if it has none."""
    return name_of(function.func) if isinstance(function, partial) else getattr(function, "__name__", type(function).__name__)
