"""Prepares a training from its settings; whatever is refused is refused before anything is written."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from augury.augment.pipeline import Pipeline
from augury.augment.stages.normalize import Normalize
from augury.core.options import parse_spec
from augury.train.data.dataset import Dataset, Split
from augury.train.data.groups import Groups
from augury.train.data.labels import labelled
from augury.train.engine.captured import Capture
from augury.train.engine.costs import Counts
from augury.train.engine.networks import make_networks
from augury.train.engine.refinement import check_refinement, check_statistics
from augury.train.engine.saliency import HostFill, given_network, with_early_head
from augury.train.engine.selection import Selection
from augury.train.engine.settings import Settings
from augury.train.engine.setup import (
    begin_groups,
    check_images,
    check_update,
    cuda_devices,
    first_two,
    on_device,
    pick_device,
    pipelines_for,
)
from augury.train.engine.streams import Unlabelled, check_groups
from augury.train.engine.training import Training
from augury.train.engine.update import ModelEma, Update, make_optimizer
from augury.train.engine.world import World
from augury.train.strategies.build import strategy as build_strategy
from augury.train.strategies.strategy import Strategy, members


@dataclass(frozen=True)
class Checked:
    """What a training's settings come to before any network is built. train: the training images whose labels are used."""

    settings: Settings
    device: torch.device
    world: World
    strategy: Strategy
    pipelines: tuple[Pipeline, ...]
    groups: Groups | None
    train: Split
    notes: list[str]


def check(settings: Settings, dataset: Dataset, streams: Collection[str] = (), world: World | None = None) -> Checked:
    """All that can be refused without a network: names, values, what contradicts itself, what the data do not have.

    streams: the names of images beside the training part.
    """
    settings = settings.resolved(len(dataset.train.ids))
    device, world = pick_device(settings.device), world or World()
    strategy = build_strategy(parse_spec(settings.strategy, "--strategy"))
    strategy.seeded(settings.seed)
    pipelines = pipelines_for(settings, dataset, strategy)
    notes = check_refinement(settings, pipelines, strategy)
    check_update(settings, strategy, world)
    groups = begin_groups(settings, dataset, strategy, pipelines, set(streams))
    strategy = with_early_head(strategy, pipelines, len(dataset.classes))
    kept = labelled(dataset, labels=settings.labels, per_class=settings.labels_per_class, seed=settings.seed)
    check_groups(strategy, settings.batch_size or 0)
    return Checked(settings, device, world, strategy, pipelines, groups, kept, notes)


def prepare(settings: Settings, dataset: Dataset, streams: dict[str, Tensor] | None = None, world: World | None = None) -> Training:
    """Build everything named in the settings; InputError before anything is written when a name or value is wrong.

    streams: further images beside the training part, uint8 [N,K,C,H,W], by the names strategies ask for. world: the
    processes that train together.
    """
    found = check(settings, dataset, streams or (), world)
    settings, device, world, strategy, pipelines = found.settings, found.device, found.world, found.strategy, found.pipelines
    with torch.random.fork_rng(devices=cuda_devices(device)):
        model = make_networks(settings, dataset, strategy).to(device).to(memory_format=torch.channels_last)
        check_images(model, settings, dataset)
        extra = nn.ModuleDict(strategy.modules(model)).to(device)
    check_statistics(settings, members(model))
    parameters = [*model.parameters(), *extra.parameters()]
    captured = Capture.wanted(settings, device, world)
    update = Update(make_optimizer(settings, parameters, tensor_rate=captured), parameters, settings.clip_grad, world)
    normalize = next(stage for stage in pipelines[0].stages if isinstance(stage, Normalize))
    counts, channels = Counts(), dataset.train.images.shape[1]
    named = partial(given_network, classes=len(dataset.classes), channels=channels, device=device)
    training = Training(settings, dataset, pipelines, normalize, model, extra, strategy, update, device,
                        on_device(found.train, device), on_device(dataset.validation, device), counts, world=world,
                        notes=found.notes, fill=HostFill.of(pipelines, model, extra, normalize, counts, named), groups=found.groups,
                        selection=Selection(settings.select, settings.patience, found.groups),
                        further={name: images.to(device) for name, images in (streams or {}).items()})  # fmt: skip
    if settings.model_ema_decay is not None:
        training.average = ModelEma(model, settings.model_ema_decay)
    if "unlabelled" in strategy.streams:
        every = on_device(dataset.train, device)
        training.unlabelled = Unlabelled(every, strategy.stream_ratio, settings.seed)
    if training.fill is not None:
        training.fill.check(first_two(training.train_split, len(dataset.classes)))
    return training
