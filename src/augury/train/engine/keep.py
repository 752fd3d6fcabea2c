"""The host's side of saliency: which map the pipelines ask for, from which network, at what cost."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from augury.augment.pipeline import Pipeline
from augury.augment.saliency.early_head import EarlyHead
from augury.augment.saliency.fill import Kind, Saliency, saliency
from augury.augment.stage import Normalize
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.plan import Clock
from augury.train.engine.costs import Counts
from augury.train.strategies.early_head import WithEarlyHead
from augury.train.strategies.strategy import Strategy, members


@dataclass(frozen=True)
class Wanted:
    """What the pipelines ask for: the kind of map, made in every so many steps."""

    kind: Kind
    every: int


def wanted(pipelines: tuple[Pipeline, ...]) -> Wanted | None:
    """None where no stage needs a map; InputError where stages ask for different ones, since a step makes one kind."""
    stages = [stage for pipeline in pipelines for stage in pipeline.stages if "saliency" in stage.needs]
    found = {Wanted(getattr(stage, "saliency", "full"), getattr(stage, "every", 1)) for stage in stages}
    if len(found) > 1:
        words = " and ".join(sorted(f"saliency={each.kind}, every={each.every}" for each in found))
        raise InputError(f"--augment: one training makes one kind of saliency map, not {words}; give all stages the same options")
    return next(iter(found), None)


def with_early_head(strategy: Strategy, pipelines: tuple[Pipeline, ...], classes: int) -> Strategy:
    """The strategy, wrapped so that it trains an early head where a pipeline's saliency needs one."""
    asked = wanted(pipelines)
    return WithEarlyHead(strategy, classes) if asked is not None and asked.kind == "early_head" else strategy


@dataclass
class HostFill:
    """The `fill` of a training's steps: counts its passes, and leaves out the steps between every `every`."""

    saliency: Saliency
    every: int
    counts: Counts
    clock: Clock
    images: int = 1

    @staticmethod
    def of(
        pipelines: tuple[Pipeline, ...], model: nn.Module, extra: nn.ModuleDict, normalize: Normalize, counts: Counts
    ) -> "HostFill | None":
        """For the first network; None where no stage needs a map. Raises InputError for a network that cannot make it."""
        asked = wanted(pipelines)
        if asked is None:
            return None
        head: Any = extra["early_head"] if asked.kind == "early_head" else None
        return HostFill(fill_of(members(model)[0], asked.kind, normalize, head), asked.every, counts, Clock())

    def at(self, clock: Clock, images: int) -> "HostFill":
        """For a step of `images` source images."""
        return replace(self, clock=clock, images=images)

    def __call__(self, batch: Batch) -> Batch:
        if self.clock.step % self.every:
            unknown = torch.full_like(batch.images[:, 0], torch.nan, dtype=torch.float32)
            return batch.replace(saliency=unknown)
        forward, backward = self.counts.forward, self.counts.backward
        done = self.saliency(batch)
        # Said here, whatever hooks on the network made of it: one pass each way.
        share = len(batch) / max(1, self.images)
        self.counts.forward, self.counts.backward = forward + share, backward + share
        return done

    def check(self, batch: Batch) -> None:
        """Make one map for nothing, so that a network that refuses it does so before the training starts."""
        with torch.random.fork_rng(devices=[batch.images.device] if batch.images.is_cuda else []):
            self.saliency(batch)


def fill_of(network: nn.Module, kind: Kind, normalize: Normalize, head: EarlyHead | None = None) -> Saliency:
    """The `fill` of a network trained on values that `normalize` gives."""
    return saliency(network, kind, mean=normalize.mean, std=normalize.std, head=head)
