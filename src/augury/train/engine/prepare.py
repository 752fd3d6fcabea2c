"""Prepares a training from its settings, with all checks made before anything is written."""

from collections.abc import Collection
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from augury.augment.pipeline import Pipeline
from augury.core.options import parse_spec
from augury.train.data.dataset import Dataset, Split
from augury.train.data.groups import Groups
from augury.train.data.labels import labelled
from augury.train.engine.captured import Capture
from augury.train.engine.frozen import check_tuning, freeze, rates_by_depth
from augury.train.engine.metrics import metric_of
from augury.train.engine.networks import make_networks, network_specs
from augury.train.engine.precision import precision_of
from augury.train.engine.pretrained import expecting, fit_networks, with_published
from augury.train.engine.refinement import check_refinement, check_statistics, refinement_of
from augury.train.engine.selection import Selection
from augury.train.engine.settings import Settings
from augury.train.engine.setup import (
    begin_groups,
    check_channels,
    check_images,
    check_labels,
    check_update,
    class_weights,
    cuda_devices,
    first_two,
    on_device,
    pick_device,
)
from augury.train.engine.streams import Unlabelled, check_groups
from augury.train.engine.training import Progress, Training, TrainingData
from augury.train.engine.update import ModelEma, Update, make_optimizer
from augury.train.engine.world import World
from augury.train.logs.followed import openers
from augury.train.method.build import assembled
from augury.train.method.pipelines import method_pipelines
from augury.train.method.saliency import with_early_head
from augury.train.strategies.build import strategy as build_strategy
from augury.train.strategies.simple import LossFunction
from augury.train.strategies.strategy import Strategy, members


@dataclass(frozen=True)
class Checked:
    """A training's settings, checked and resolved before any network is built. dataset: normalised as the weights expect; train:
    its training images whose labels are used."""

    settings: Settings
    dataset: Dataset
    device: torch.device
    world: World
    strategy: Strategy
    pipelines: tuple[Pipeline, ...]
    groups: Groups | None
    train: Split
    notes: list[str]


def check(
    settings: Settings,
    dataset: Dataset,
    streams: Collection[str] = (),
    world: World | None = None,
    strategy: Strategy | LossFunction | None = None,
) -> Checked:
    """Make all checks that need no network: names, values, contradictions, and requirements on the data.

    streams: the names of additional images. strategy: see `prepare`.
    """
    metric = metric_of(settings.metric, dataset.kind)
    settings = settings.resolved(len(dataset.train.ids), metric.name)
    dataset = expecting(dataset, settings)
    device, world = pick_device(settings.device), world or World()
    made = build_strategy(parse_spec(settings.strategy, "--strategy") if strategy is None else strategy)
    made.seeded(settings.seed)
    pipelines = method_pipelines(settings.augment, settings.augment2, made, (dataset.mean, dataset.std), settings.strategy)
    notes = check_refinement(settings, pipelines, made)
    check_tuning(settings)
    check_update(settings, made, world)
    metric.missing(dataset)
    check_labels(settings, dataset, made, pipelines)
    check_channels(dataset, pipelines)
    openers(settings.log)
    groups = begin_groups(settings, dataset, made, pipelines, set(streams))
    made = with_early_head(made, pipelines, len(dataset.classes))
    kept = labelled(dataset, labels=settings.labels, per_class=settings.labels_per_class, seed=settings.seed)
    check_groups(made, settings.batch_size or 0)
    return Checked(settings, dataset, device, world, made, pipelines, groups, kept, notes)


def prepare(
    settings: Settings,
    dataset: Dataset,
    streams: dict[str, Tensor] | None = None,
    world: World | None = None,
    strategy: Strategy | LossFunction | None = None,
) -> Training:
    """Build everything named in the settings; InputError, before anything is written, if a name or value is wrong.

    streams: additional images of the training part, uint8 [N,K,C,H,W], by the names under which strategies request them. world:
    the processes that train together. strategy: one built in Python, instead of the one that the settings name.
    """
    found = check(settings, dataset, streams or (), world, strategy)
    settings, device, dataset = found.settings, found.device, found.dataset
    with torch.random.fork_rng(devices=cuda_devices(device)):
        specs = with_published(settings, network_specs(settings, found.strategy))
        model = make_networks(settings, dataset, specs)
        started = fit_networks(model, settings, found.strategy, dataset.classes)
        model = model.to(device).to(memory_format=torch.channels_last)
        check_images(model, settings, dataset)
        method = assembled(
            model, found.strategy, found.pipelines, name=settings.strategy, classes=len(dataset.classes), seed=settings.seed,
            smoothing=settings.smoothing, draws=settings.draws, refinement=refinement_of(settings),
            class_weights=class_weights(settings, found.train.labels, dataset.classes),
        )  # fmt: skip
    check_statistics(settings, members(model))
    started += freeze(settings, members(model))
    parameters = list(method.parameters()) if settings.freeze is None else [p for p in method.parameters() if p.requires_grad]
    tensor_rate = Capture.wanted(settings, device, found.world)
    optimizer = make_optimizer(settings, parameters, tensor_rate=tensor_rate, rates=rates_by_depth(settings, members(model)))
    update = Update(optimizer, parameters, settings.clip_grad, found.world)
    data = TrainingData(
        on_device(found.train, device), on_device(dataset.validation, device), groups=found.groups,
        further={name: images.to(device) for name, images in (streams or {}).items()},
    )  # fmt: skip
    if "unlabelled" in found.strategy.streams:
        data = replace(data, unlabelled=Unlabelled(on_device(dataset.train, device), found.strategy.stream_ratio, settings.seed))
    if method.saliency is not None:
        method.saliency.check(first_two(data.train, len(dataset.classes)))
    average = None if settings.model_ema_decay is None else ModelEma(model, settings.model_ema_decay)
    selection = Selection(settings.select, settings.patience, found.groups, settings.metric, dataset.kind)
    precision = found.world.from_first(precision_of(settings, device, model, dataset.train.images, len(dataset.train.ids)))
    progress = Progress(notes=[*found.notes, *started, *([] if precision.note is None else [precision.note])])
    return Training(settings, dataset, method, update, data, selection, precision.bfloat16, average, progress=progress)
