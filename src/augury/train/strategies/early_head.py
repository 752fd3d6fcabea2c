"""A strategy with an auxiliary head on the network's first unit, trained with the network and dropped at test time."""

from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from augury.augment.saliency.early_head import early_head, first_unit
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.plan import Clock
from augury.core.targets import Targets
from augury.train.data.groups import Groups
from augury.train.strategies.strategy import Step, Strategy, Views, members


@dataclass
class _Seen:
    """The views that the strategy read in one step, and the images and early maps of each training pass of the first network."""

    views: list[Batch] = field(default_factory=list)
    images: list[Tensor] = field(default_factory=list)
    maps: list[Tensor] = field(default_factory=list)


class WithEarlyHead(Strategy):
    """`strategy`, plus `weight` times the early head's cross-entropy on the labelled images the network is trained on.

    Gong et al. 2021 (KeepAugment), section 3.1: average pooling and a linear layer after the first block, with the auxiliary
    loss of Inception (weight 0.3). The maps are those of the strategy's own forward passes, so that the head costs only a
    linear layer. With several networks the first has the head. A strategy must pass the network its views unchanged, or
    several of them concatenated; InputError if it trains on anything else, such as mixed views, whose labels are unknown here.
    """

    def __init__(self, strategy: Strategy, classes: int, weight: float = 0.3) -> None:
        self.strategy, self.classes, self.weight = strategy, classes, weight
        self.streams, self.stream_ratio, self.turns = strategy.streams, strategy.stream_ratio, strategy.turns
        self.networks, self.pipelines = strategy.networks, strategy.pipelines
        self.stages, self.chains, self.seen = strategy.stages, strategy.chains, strategy.seen
        self.images_per_class, self.needs_groups = strategy.images_per_class, strategy.needs_groups
        self.several_labels = strategy.several_labels
        self.smoothing, self.intensive = strategy.smoothing, strategy.intensive
        self._head: nn.Module | None = None
        self._known: set[Hashable] = set()

    def seeded(self, seed: int) -> None:
        self.strategy.seeded(seed)

    def begin(self, groups: Groups) -> None:
        self.strategy.begin(groups)

    def modules(self, model: nn.Module) -> dict[str, nn.Module]:
        parts = self.strategy.modules(model)
        self._head = early_head(members(model)[0], self.classes)
        return {**parts, "early_head": self._head}

    def program(self, clock: Clock) -> Hashable:
        return self.strategy.program(clock)

    def examples(self, network: nn.Module, batch: Batch, program: Hashable) -> tuple[Tensor, Targets]:
        return self.strategy.examples(network, batch, program)

    def __call__(self, model: nn.Module, views: Views, *, program: Hashable = None, turn: int = 0) -> Step:
        seen = _Seen()

        def noted(view: int = 0, pipeline: int = 0, stream: str = "train") -> Batch:
            batch = views(view, pipeline, stream)
            seen.views.append(batch)
            return batch

        with _watching(members(model)[0], seen):
            step = self.strategy(model, noted, program=program, turn=turn)
        losses = [self._loss(images, maps, seen.views, program) for images, maps in zip(seen.images, seen.maps, strict=True)]
        if not losses:
            return step
        early = torch.stack(losses).sum()
        return Step(step.loss + self.weight * early, {**step.logs, "early_head": early.detach()}, step.per_sample)

    def _loss(self, images: Tensor, maps: Tensor, views: list[Batch], program: object) -> Tensor:
        """The mean cross-entropy over the labelled rows of one pass; 0 if it has none."""
        assert self._head is not None
        logits = self._head(maps)
        start, losses = 0, []
        for batch in self._shown(images, views, program):
            if batch.targets is not None:
                losses.append(batch.targets.loss(logits[start : start + len(batch)]))
            start += len(batch)
        return torch.cat(losses).mean() if losses else logits.sum() * 0

    def _shown(self, images: Tensor, views: list[Batch], program: object) -> list[Batch]:
        """The consecutive views that these images are a concatenation of."""
        for batch in views:
            if batch.images is images:
                return [batch]
        for first in range(len(views)):
            for last in range(first + 1, len(views) + 1):
                run = views[first:last]
                if sum(map(len, run)) == len(images) and self._same(images, run, program):
                    return run
        raise InputError(
            "--augment: saliency=early_head: this strategy trains on images that are not its views, so the head has no labels "
            "for them; use saliency=full or saliency=low_resolution"
        )

    def _same(self, images: Tensor, run: list[Batch], program: object) -> bool:
        """Whether the run has these images; on a GPU compared once per program and number of views, since that synchronises."""
        key = (program, len(run))
        if images.device.type == "cpu" or key not in self._known:
            if not torch.equal(images, torch.cat([batch.images for batch in run])):
                return False
            self._known.add(key)
        return True

    def end_epoch(self, clock: Clock) -> None:
        self.strategy.end_epoch(clock)

    def epoch_logs(self) -> Mapping[str, Any]:
        return self.strategy.epoch_logs()

    def at_epoch(self, epoch: int) -> None:
        self.strategy.at_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        return self.strategy.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.strategy.load_state_dict(state)

    def files(self, clock: Clock) -> Mapping[str, str]:
        return self.strategy.files(clock)


@contextmanager
def _watching(network: nn.Module, seen: _Seen) -> Iterator[None]:
    """Record the images and early maps of training passes, not of passes in evaluation mode or without gradients."""

    def given(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if network.training and torch.is_grad_enabled():
            seen.images.append(inputs[0])

    def made(module: nn.Module, inputs: tuple[object, ...], maps: Tensor) -> None:
        if network.training and torch.is_grad_enabled():  # not `module.training`, which is False for a frozen unit
            seen.maps.append(maps)

    hooks = [network.register_forward_pre_hook(given), first_unit(network).register_forward_hook(made)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
