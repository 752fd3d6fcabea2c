"""Strategy: a callable that returns a loss, and nothing else, so that it fits any training loop.

Optimiser, precision, checkpoints and devices belong to the host; so does the augmentation, which reaches a strategy only
through `views`.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor, nn

from augury.core.batch import Batch
from augury.core.plan import Clock


@dataclass(frozen=True)
class Step:
    """What a strategy returns. loss: a scalar to minimise. logs: scalars to average over an epoch (tensors, not synchronised).
    per_sample: float [B], detached, where the strategy has one loss per image."""

    loss: Tensor
    logs: dict[str, Tensor] = field(default_factory=dict)
    per_sample: Tensor | None = None


class Views(Protocol):
    """Made by the host for each step. A call augments and normalises the step's images: `view` numbers independent draws
    of the same images, `pipeline` chooses among the training's pipelines (the last one stands in for those it lacks),
    `stream` among its sources of images."""

    def __call__(self, view: int = 0, pipeline: int = 0, stream: str = "train") -> Batch: ...


class Strategy(Protocol):
    """streams: the sources of images it reads. turns: losses per step, each with an update of its own. modules(model):
    extra trained parts by name. program(clock): what makes one epoch's step another program than the next's, hashable.
    A call makes the loss of one turn. end_epoch lets it learn; state_dict is what a checkpoint must keep of it.

    Further attributes may be left out. networks: how many networks it trains (1; with more, `model` is an `nn.ModuleList`
    of them). pipelines: how many pipelines its views can come from (1). stages: stages of its own, each of which the host
    puts before `normalize` of the training's pipeline, one pipeline for each (None: without). seeded(seed): called before
    the first step. files(clock): texts by file name, which a finished run keeps."""

    streams: tuple[str, ...]
    turns: int

    def modules(self, model: nn.Module) -> dict[str, nn.Module]: ...
    def program(self, clock: Clock) -> Any: ...
    def __call__(self, model: nn.Module, views: Views, *, program: Any = None, turn: int | None = None) -> Step: ...
    def end_epoch(self, clock: Clock) -> None: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...


def networks_of(strategy: Strategy) -> int:
    """How many networks the strategy trains together."""
    return int(getattr(strategy, "networks", 1))


def pipelines_of(strategy: Strategy) -> int:
    """How many different pipelines the strategy's views can come from."""
    return int(getattr(strategy, "pipelines", 1))


def members(model: nn.Module) -> list[nn.Module]:
    """The networks that are trained: those of an `nn.ModuleList`, or the one."""
    return list(model) if isinstance(model, nn.ModuleList) else [model]
