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
    per_sample: float [B], detached, where the strategy has one loss per image."""

    loss: Tensor
    logs: dict[str, Tensor] = field(default_factory=dict)
    per_sample: Tensor | None = None


# FSDP looks for a forward pass's tensors in what PyTorch's trees know. (Of the ways to say so, this one works in every torch.)
register_pytree_node(Step, lambda step: ([step.loss, step.logs, step.per_sample], None), lambda parts, _: Step(*parts))


@dataclass(frozen=True)
class Seen:
    """One of the views that a step reads: `views(view, pipeline, stream)`. label: what it is to a reader."""

    label: str = ""
    view: int = 0
    pipeline: int = 0
    stream: str = "train"


class Views(Protocol):
    """Made by the host for each step. A call augments and normalises the step's images: `view` numbers independent draws
    of the same images, `pipeline` chooses among the training's pipelines (the last one stands in for those it lacks),
    `stream` among its sources of images."""

    def __call__(self, view: int = 0, pipeline: int = 0, stream: str = "train") -> Batch: ...


class Strategy:
    """The base of all strategies: everything a host may ask of one, each with a default, so that a strategy declares only
    what it needs. A call is the one thing that every strategy defines.

    What it is, read once by the host:

    - streams: the sources of images it reads; `unlabelled`, and others by the names hosts give them.
    - stream_ratio: unlabelled images per labelled one.
    - turns: losses per step, each with an update of its own.
    - networks: how many networks it trains; with more than one, `model` is an `nn.ModuleList` of them.
    - pipelines: how many pipelines its views can come from.
    - seen: the views that a step reads, for pictures of what the network saw.
    - stages: stages of its own; the host puts each before `normalize` of the training's pipeline, one pipeline for each
      (None: without).
    - chains: further pipelines that the host builds beside the training's own.
    - images_per_class: so many images of every class in a batch (0: as they come).
    - needs_groups: whether the data must have groups, which are passed to `begin`.
    - several_labels: whether its loss is defined where an image may have several labels (`batch.targets.loss` is).
    - smoothing: the label smoothing it applies itself.
    - intensive: whether it augments within the network, which refinement switches off by the clock's `intensity`.
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
        """The loss of one turn of a step. program: what `program(clock)` gave for it."""
        raise NotImplementedError(f"{type(self).__name__} defines no __call__(model, views, *, program, turn)")

    def seeded(self, seed: int) -> None:
        """Told the training's seed before anything else."""

    def begin(self, groups: Groups) -> None:
        """Told the groups of the data before the first step, where `needs_groups`."""

    def modules(self, model: nn.Module) -> dict[str, nn.Module]:
        """Trained parts of its own, by name. Raises InputError for a network that it cannot train."""
        return {}

    def program(self, clock: Clock) -> Hashable:
        """What makes this step another program than the last one; decided on the host."""
        return None

    def examples(self, network: nn.Module, batch: Batch, program: Hashable) -> tuple[Tensor, Targets]:
        """Logits and labels of an augmented batch, as training sees them: other than plain where it augments within the network."""
        return network(batch.images), labels_of(batch, type(self).__name__)

    def end_epoch(self, clock: Clock) -> None:
        """Told that an epoch has ended; clock: the start of the next one."""

    def epoch_logs(self) -> Mapping[str, Any]:
        """What the epoch that `end_epoch` ended adds to its line of metrics.jsonl: plain values by name."""
        return {}

    def at_epoch(self, epoch: int) -> None:
        """Put its stages back to what they were in an epoch (0-based) that is over, for pictures of what the network saw."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must keep of it: tensors and plain values, nested."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""

    def files(self, clock: Clock) -> Mapping[str, str]:
        """Texts by file name, which a finished run keeps."""
        return {}


def labels_of(batch: Batch, name: str) -> Targets:
    """The batch's labels; InputError if it has none."""
    if batch.targets is None:
        raise InputError(f"strategy: {name} needs labels")
    return batch.targets


def members(model: nn.Module) -> list[nn.Module]:
    """The networks that are trained: those of an `nn.ModuleList`, or the one."""
    return list(model) if isinstance(model, nn.ModuleList) else [model]
