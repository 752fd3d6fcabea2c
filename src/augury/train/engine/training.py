"""Training: everything a run holds while it trains. It acts on nothing; `step`, `run` and `resume` act on it."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from augury.augment.pipeline import Pipeline
from augury.augment.stages.normalize import Normalize
from augury.train.data.dataset import Dataset, Split
from augury.train.data.groups import Groups
from augury.train.engine.costs import Counts, WallClock
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.saliency import HostFill
from augury.train.engine.selection import Selection
from augury.train.engine.settings import Settings
from augury.train.engine.streams import Unlabelled
from augury.train.engine.update import ModelEma, Update
from augury.train.engine.views import batches
from augury.train.engine.world import World
from augury.train.strategies.strategy import Strategy, members


@dataclass
class Training:
    """Everything a run holds while it trains. model: the network, or an `nn.ModuleList` of those trained together."""

    settings: Settings
    dataset: Dataset
    pipelines: tuple[Pipeline, ...]
    normalize: Normalize
    model: nn.Module
    extra: nn.ModuleDict
    strategy: Strategy
    update: Update
    device: torch.device
    train_split: Split
    validation_split: Split
    counts: Counts = field(default_factory=Counts)
    epoch: int = 0
    seconds: float = 0.0
    device_seconds: float = 0.0
    clock: WallClock = field(default_factory=WallClock)
    fill: HostFill | None = None
    unlabelled: Unlabelled | None = None
    groups: Groups | None = None
    selection: Selection = field(default_factory=lambda: Selection("last", None, None))
    further: dict[str, Tensor] = field(default_factory=dict)
    world: World = field(default_factory=World)
    average: ModelEma | None = None
    stage_one: dict[str, Tensor] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    directory: RunDirectory | None = None
    saved_at: float = -1e9

    @property
    def pipeline(self) -> Pipeline:
        """The first pipeline."""
        return self.pipelines[0]

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        return self.update.optimizer

    @property
    def networks(self) -> list[nn.Module]:
        """The networks that are trained together; mostly one."""
        return members(self.model)

    @property
    def shown(self) -> nn.Module:
        """What is evaluated and kept: the averaged weights where they are averaged, else the model."""
        return self.model if self.average is None else self.average.model

    @property
    def batch_size(self) -> int:
        return self.settings.resolved(self.epoch_images).batch_size or 0

    @property
    def epoch_images(self) -> int:
        """Source images of an epoch: as many as the training part has, so that few labels mean the same number of steps."""
        return len(self.dataset.train.ids)

    @property
    def steps_per_epoch(self) -> int:
        return max(1, sum(1 for _ in batches(torch.arange(self.epoch_images), self.batch_size)))

    @property
    def done(self) -> bool:
        """Whether all epochs are trained, or the validation has stopped getting better in the last stage."""
        s = self.settings
        last_stage = not s.refined or self.selection.ended is not None
        return self.epoch >= s.total_epochs or (last_stage and self.selection.stopped(self.epoch))
