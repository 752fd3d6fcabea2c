"""Rebuilds a finished run's augmentation and strategy, so that measurements can reproduce the images its network saw."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from augury.augment.pipeline import Pipeline
from augury.augment.saliency.maps import way_of
from augury.augment.stages.normalize import Normalize
from augury.core.options import Chain, parse_spec
from augury.core.plan import Clock
from augury.core.targets import Targets
from augury.explain.measurements.measurement import Subject
from augury.train.data.dataset import Dataset, Split
from augury.train.engine import checkpoint
from augury.train.engine.nested import unflatten_state
from augury.train.engine.order import batches
from augury.train.engine.prepare import check
from augury.train.engine.refinement import clock_at, refinement_of
from augury.train.engine.settings import Settings
from augury.train.engine.step import rows_of
from augury.train.method.saliency import saliency_of, wanted
from augury.train.method.views import StepViews
from augury.train.strategies.build import strategy as build_strategy
from augury.train.strategies.strategy import Strategy


@dataclass(frozen=True)
class AsTrained:
    """train: the images whose labels the run used. strategy: in its final state, with the policies it learned."""

    subject: Subject
    settings: Settings
    train: Split
    classes: int
    pipelines: tuple[Pipeline, ...]
    strategy: Strategy

    @property
    def batch_size(self) -> int:
        return self.settings.batch_size or 0

    def clock(self, number: int = 0, *, refined: bool = False) -> Clock:
        """The clock of the number-th step of stage one's last epoch, so that scheduled strengths have reached their final
        values; refined: the same without intensive stages."""
        epoch = self.settings.stage_one - 1
        steps = max(1, sum(1 for _ in batches(torch.arange(len(self.train.ids)), self.batch_size)))
        clock = clock_at(replace(self.settings, refine_epochs=0, refine_at=None), epoch, epoch * steps + number)
        return replace(clock, intensity=0.0) if refined else clock

    def examples(self, split: Split, rows: Tensor, clock: Clock, visit: int = 0) -> tuple[Tensor, Targets]:
        """Logits and labels, on the CPU, of some rows as the run augments them, including augmentation within the network.

        split, rows: on the network's device. Visit 0 repeats the draws of the run's own epoch; other visits draw anew.
        """
        model = self.subject.model
        pipelines = refinement_of(self.settings).pipelines(self.pipelines, clock)
        asked = wanted(self.pipelines)
        saliency = None
        if asked is not None and clock.intensity > 0:
            # A run's saved network has no early head; its full map is used instead.
            kind = "full" if way_of(asked.kind).early_head else asked.kind
            saliency = saliency_of(model, kind, Normalize(self.subject.mean, self.subject.std))
        visits = torch.full_like(rows, visit)
        views = StepViews(
            {"train": lambda: rows_of(split, rows, visits, self.classes)}, pipelines, self.settings.seed, clock, saliency=saliency
        )  # fmt: skip
        logits, targets = self.strategy.examples(model, views(), self.strategy.program(clock))
        return logits.float().cpu(), targets.to("cpu")


def as_trained(subject: Subject, dataset: Dataset, augment: Chain | None = None) -> AsTrained:
    """Rebuilds a run's training method on a data set; augment: an augmentation to use instead, with the strategy erm.

    Raises InputError if the data lack what the strategy needs, such as groups.
    """
    settings = subject.settings
    if augment is not None:
        settings = replace(settings, augment=str(augment), augment2=None, strategy="erm")
    like = replace(dataset, mean=subject.mean, std=subject.std)
    streams = build_strategy(parse_spec(settings.strategy, f"{subject.folder}: strategy")).streams
    found = check(replace(settings, device=str(subject.device), select="last", patience=None), like, streams)
    if augment is None:
        found.strategy.modules(subject.model)
        kept = checkpoint.newest(subject.folder)
        if kept is not None:
            found.strategy.load_state_dict(unflatten_state(kept.state["strategy"], kept.tensors))
    return AsTrained(subject, found.settings, found.train, len(dataset.classes), found.pipelines, found.strategy)
