"""What a training shows its network: pipelines, its strategy's policies and views, and the images that have labels."""

from pathlib import Path

import torch
from torch import Tensor

from augury.core.options import parse_spec
from augury.jobs.sheets import History, Shown, sample_rows
from augury.train.data.dataset import Dataset
from augury.train.data.labels import labelled
from augury.train.engine.checkpoint import load_checkpoint
from augury.train.engine.nested import unflatten_state
from augury.train.engine.settings import Settings
from augury.train.method.pipelines import method_pipelines
from augury.train.strategies.build import strategy as build_strategy


def shown_of(settings: Settings, dataset: Dataset, run: Path | None = None) -> Shown:
    """The pipelines and views of a training. run: its folder, whose last checkpoint holds what the strategy has learned, such
    as the policies of every epoch; without it they are those that a training begins with."""
    strategy = build_strategy(parse_spec(settings.strategy, "--strategy"))
    strategy.seeded(settings.seed)
    pipelines = method_pipelines(settings.augment, settings.augment2, strategy, (dataset.mean, dataset.std), settings.strategy)
    found = None if run is None else load_checkpoint(run)
    if found is not None:
        tensors, state = found
        strategy.load_state_dict(unflatten_state(state["strategy"], tensors))
    return Shown(pipelines, strategy)


def history_of(settings: Settings, dataset: Dataset, shown: Shown) -> History:
    """What a training's draws depend on. Batches of few labels, of balanced groups or classes are not made again here."""
    few = settings.labels is not None or settings.labels_per_class is not None
    whole = not few and settings.sampling == "shuffled" and not shown.strategy.images_per_class
    size = settings.resolved(len(dataset.train.ids)).batch_size or 1
    return History(size if whole else None, settings.epochs, settings.draws)


def rows_of(settings: Settings, dataset: Dataset, count: int) -> Tensor:
    """Rows of `count` training images of all classes whose labels the training was given."""
    if settings.labels is None and settings.labels_per_class is None:
        return sample_rows(dataset, count)
    kept = labelled(dataset, labels=settings.labels, per_class=settings.labels_per_class, seed=settings.seed)
    order = sample_rows(dataset, len(dataset.train.ids))
    return order[torch.isin(dataset.train.ids[order], kept.ids)][:count]
