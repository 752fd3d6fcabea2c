"""Training: the state of a run while it trains, as data on which `step`, `run` and `resume` operate."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from augury.train.data.dataset import Dataset, Split
from augury.train.data.groups import Groups
from augury.train.engine.costs import WallClock
from augury.train.engine.order import batches
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.selection import Selection
from augury.train.engine.settings import Settings
from augury.train.engine.streams import Unlabelled
from augury.train.engine.update import ModelEma, Update
from augury.train.engine.world import World
from augury.train.method.counts import Counts
from augury.train.method.method import Method
from augury.train.strategies.strategy import Strategy, members


@dataclass
class TrainingData:
    """The data for training and validation, on the training's device. further: additional images of the training rows, uint8
    [N,K,C,H,W] each, by the names under which strategies request them."""

    train: Split
    validation: Split
    unlabelled: Unlabelled | None = None
    groups: Groups | None = None
    further: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class Progress:
    """The progress of a training. stage_one: the weights before the refinement. notes: for readers of the result."""

    epoch: int = 0
    seconds: float = 0.0
    device_seconds: float = 0.0
    clock: WallClock = field(default_factory=WallClock)
    stage_one: dict[str, Tensor] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass
class Output:
    """Where a training writes (None in processes that do not write), and when it last wrote a checkpoint."""

    directory: RunDirectory | None = None
    saved_at: float = -1e9


@dataclass
class Training:
    """method: computes the loss. update: updates the weights. bfloat16: whether networks compute in bfloat16 where that is safe.
    average: averaged weights, if requested. overlapped: the method's loss with gradients summed over processes during the
    backward pass, once that is known to work."""

    settings: Settings
    dataset: Dataset
    method: Method
    update: Update
    data: TrainingData
    selection: Selection
    bfloat16: bool = False
    average: ModelEma | None = None
    overlapped: DistributedDataParallel | None = None
    progress: Progress = field(default_factory=Progress)
    output: Output = field(default_factory=Output)

    @property
    def model(self) -> nn.Module:
        """The network, or an `nn.ModuleList` of those trained together."""
        return self.method.model

    @property
    def networks(self) -> list[nn.Module]:
        """The networks that are trained together; usually one."""
        return members(self.model)

    @property
    def shown(self) -> nn.Module:
        """The model that is evaluated and kept: the averaged weights if there are any, else the trained ones."""
        return self.model if self.average is None else self.average.model

    @property
    def strategy(self) -> Strategy:
        return self.method.strategy

    @property
    def counts(self) -> Counts:
        return self.method.counts

    @property
    def epoch(self) -> int:
        """The number of epochs done so far."""
        return self.progress.epoch

    @property
    def device(self) -> torch.device:
        return self.data.train.labels.device

    @property
    def world(self) -> World:
        return self.update.world

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        return self.update.optimizer

    @property
    def batch_size(self) -> int:
        return self.settings.resolved(self.epoch_images).batch_size or 0

    @property
    def epoch_images(self) -> int:
        """Source images per epoch: as many as the training part has, so that fewer labels do not mean fewer steps."""
        return len(self.dataset.train.ids)

    @property
    def steps_per_epoch(self) -> int:
        return max(1, sum(1 for _ in batches(torch.arange(self.epoch_images), self.batch_size)))

    @property
    def done(self) -> bool:
        """Whether all epochs are trained, or the last stage stopped early."""
        s = self.settings
        last_stage = not s.refined or self.selection.ended is not None
        return self.epoch >= s.total_epochs or (last_stage and self.selection.stopped(self.epoch))
