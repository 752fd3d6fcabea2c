"""Strategy: a callable that returns a loss, and nothing else, so that it fits any training loop.

Optimiser, precision, checkpoints and devices belong to the host; so does the augmentation, which reaches a strategy only
through `views`.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor, nn
from torch.utils._pytree import register_pytree_node

from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.options import Chain
from augury.core.plan import Clock
from augury.core.stage import Stage
from augury.core.targets import Targets
from augury.train.data.groups import Groups


@dataclass(frozen=True)
class Step:
    """A strategy's result. loss: a scalar to minimise. logs: scalars to average over an epoch (tensors, not synchronised).
    per_sample: float [B], detached, if the strategy has one loss per image."""

    loss: Tensor
    logs: dict[str, Tensor] = field(default_factory=dict)
    per_sample: Tensor | None = None


# FSDP finds the tensors of a forward pass's output as a pytree. (This form of registration works in every version of PyTorch.)
register_pytree_node(Step, lambda step: ([step.loss, step.logs, step.per_sample], None), lambda parts, _: Step(*parts))


@dataclass(frozen=True)
class Seen:
    """One of the views that a step reads: `views(view, pipeline, stream)`. label: its name in pictures."""

    label: str = ""
    view: int = 0
    pipeline: int = 0
    stream: str = "train"


class Views(Protocol):
    """Created by the host for each step. A call augments and normalises the step's images: `view` numbers independent draws
    of the same images, `pipeline` selects one of the training's pipelines (the last one if there are fewer), `stream` one
    of its sources of images."""

    def __call__(self, view: int = 0, pipeline: int = 0, stream: str = "train") -> Batch: ...


class Strategy:
    """The base class of all strategies: everything that a host may use, with defaults, so that a strategy declares only
    what it needs. Every strategy must define `__call__`.

    Attributes, which the host reads once:

    - streams: the sources of images it reads: `train`, `unlabelled`, and others under the host's names.
    - stream_ratio: unlabelled images per labelled one.
    - turns: losses per step, each with an update of its own.
    - networks: the number of networks it trains; if more than one, `model` is an `nn.ModuleList` of them.
    - pipelines: the number of pipelines its views can come from.
    - seen: the views that a step reads, for pictures of what the network saw.
    - stages: stages of its own; for each the host makes a pipeline, the training's with the stage before `normalize`
      (None: without a stage).
    - chains: further pipelines that the host builds in addition to the training's.
    - images_per_class: the number of images of each class that occurs in a batch (0: any).
    - needs_groups: whether the data must have groups, which are passed to `begin`.
    - several_labels: whether its loss is defined for images with several labels (`batch.targets.loss` is).
    - smoothing: the label smoothing it applies itself.
    - intensive: whether it augments within the network; refinement switches this off through the clock's `intensity`.
    """

    streams: tuple[str, ...] = ("train",)
    stream_ratio: int = 1
    turns: int = 1
    networks: int = 1
    pipelines: int = 1
    seen: tuple[Seen, ...] = (Seen(),)
    stages: tuple[Stage | None, ...] = ()
    chains: tuple[Chain, ...] = ()
    images_per_class: int = 0
    needs_groups: bool = False
    several_labels: bool = False
    smoothing: float = 0.0
    intensive: bool = False

    def __call__(self, model: nn.Module, views: Views, *, program: Hashable = None, turn: int = 0) -> Step:
        """The loss of one turn of a step. program: the value of `program(clock)` for the step."""
        raise NotImplementedError(f"{type(self).__name__} defines no __call__(model, views, *, program, turn)")

    def seeded(self, seed: int) -> None:
        """Called with the training's seed before anything else."""

    def begin(self, groups: Groups) -> None:
        """Called with the groups of the data before the first step, if `needs_groups`."""

    def modules(self, model: nn.Module) -> dict[str, nn.Module]:
        """Its own trainable modules, by name. Raises InputError for a network that it cannot train."""
        return {}

    def program(self, clock: Clock) -> Hashable:
        """The step's choices that are made on the host; a captured step is replayed only for an equal value."""
        return None

    def examples(self, network: nn.Module, batch: Batch, program: Hashable) -> tuple[Tensor, Targets]:
        """Logits and labels of an augmented batch as in training, including any augmentation within the network."""
        return network(batch.images), labels_of(batch, type(self).__name__)

    def end_epoch(self, clock: Clock) -> None:
        """Called when an epoch has ended; clock: the start of the next one."""

    def epoch_logs(self) -> Mapping[str, Any]:
        """Plain values, by name, to add to the metrics.jsonl line of the epoch that `end_epoch` ended."""
        return {}

    def at_epoch(self, epoch: int) -> None:
        """Restore its stages to their state in a past epoch (0-based), for pictures of what the network saw."""

    def state_dict(self) -> dict[str, Any]:
        """Its state for a checkpoint: nested tensors and plain values."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""

    def files(self, clock: Clock) -> Mapping[str, str]:
        """Texts by file name, which a finished run saves."""
        return {}


def labels_of(batch: Batch, name: str) -> Targets:
    """The batch's labels; InputError if it has none."""
    if batch.targets is None:
        raise InputError(f"strategy: {name} needs labels")
    return batch.targets


def members(model: nn.Module) -> list[nn.Module]:
    """The networks that are trained: those of an `nn.ModuleList`, or the single one."""
    return list(model) if isinstance(model, nn.ModuleList) else [model]
