"""Builds methods: `augury.method(model, augment=..., strategy=..., ...)`."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from augury.augment.inputs import MOST_CHANNELS
from augury.augment.names import Statistics
from augury.augment.pipeline import Pipeline
from augury.core.doors import door
from augury.core.draws import Draws
from augury.core.errors import InputError
from augury.core.options import Spec
from augury.train.data.groups import Groups
from augury.train.method.counts import Counts
from augury.train.method.method import Method
from augury.train.method.pipelines import Augmentation, method_pipelines, normalize_of
from augury.train.method.refinement import Mode, Refinement
from augury.train.method.saliency import StepSaliency, given_network, with_early_head
from augury.train.strategies.build import strategy as build_strategy
from augury.train.strategies.simple import LossFunction, SimpleStrategy, name_of
from augury.train.strategies.strategy import Strategy, members


@door
def method(
    model: nn.Module | Sequence[nn.Module],
    *,
    classes: int,
    augment: Augmentation = "none",
    strategy: str | Spec | Strategy | LossFunction = "erm",
    augment2: Augmentation | None = None,
    mean: Sequence[float] | Tensor | None = None,
    std: Sequence[float] | Tensor | None = None,
    seed: int = 0,
    smoothing: float = 0.0,
    draws: Draws = "independent",
    refine_epochs: int = 0,
    refine_at: int | None = None,
    refine_mode: Mode = "standard",
    groups: Groups | tuple[Tensor, Tensor] | None = None,
    image_range: tuple[float, float] | None = None,
    class_weights: Sequence[float] | Tensor | None = None,
) -> Method:
    """A method for any training loop: an augmentation, a strategy that computes the loss, and the network it trains.

    model: the network, or a list of those that the strategy trains together; it maps normalised floats [B,C,H,W] to logits
    [B,classes] and is not copied. augment, augment2: as for `augury.pipeline`, or a pipeline; `normalize` with `mean` and `std`
    (per channel, of images in [0, 1]) is inserted after the last stage that needs pixels, unless it is named. strategy: a name
    with options, a Strategy, or a function `(model, views) -> loss`. seed: for all draws. draws: see `Noise.of`.
    refine_epochs, refine_at, refine_mode: as in `Refinement`. groups: (labels, groups) of all training images, for strategies
    that need them. image_range: the range of float images, `(0, 1)` for those of `ToTensor`; without it images must be uint8.
    class_weights: one factor for each class's part of the loss, for rare classes.

    Raises InputError, in one line, for arguments that do not fit together.

    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(192, 10))
    >>> made = method(network, augment="crop+flip", classes=10, mean=[0.5] * 3, std=[0.2] * 3)
    >>> made.start_epoch(0, epochs=1)
    >>> images, labels = torch.zeros(4, 3, 8, 8, dtype=torch.uint8), torch.tensor([1, 0, 3, 9])
    >>> made(images, labels, ids=torch.arange(4)).loss.shape
    torch.Size([])
    """
    made, name = build_strategy(strategy), _name(strategy)
    made.seeded(seed)
    if smoothing and made.smoothing:
        raise InputError("method: smoothing given together with erm(smoothing=...); leave one out")
    if not 0 <= smoothing < 1:
        raise InputError(f"method: smoothing={smoothing:g}: must be at least 0 and below 1")
    pipelines = method_pipelines(augment, augment2, made, _statistics(mean, std), name)
    _begin_groups(made, name, groups, pipelines, classes)
    network = _networks(model, made, name)
    return assembled(
        network, with_early_head(made, pipelines, classes), pipelines, name=name, classes=classes, seed=seed, smoothing=smoothing,
        draws=draws,
        refinement=Refinement(refine_epochs, refine_at, refine_mode), image_range=image_range,
        class_weights=_class_weights(class_weights, classes),
    )  # fmt: skip


def assembled(
    network: nn.Module,
    strategy: Strategy,
    pipelines: tuple[Pipeline, ...],
    *,
    name: str,
    classes: int,
    seed: int,
    smoothing: float,
    draws: Draws,
    refinement: Refinement,
    image_range: tuple[float, float] | None = None,
    class_weights: Tensor | None = None,
) -> Method:
    """A method from a network, a strategy and pipelines, with the strategy's trained modules and the pipelines' saliency."""
    parameter = next(iter(network.parameters()), None)
    device = torch.device("cpu") if parameter is None else parameter.device
    extra = nn.ModuleDict(strategy.modules(network)).to(device)
    normalize, counts = normalize_of(pipelines[0]), Counts()
    named = partial(given_network, classes=classes, channels=len(normalize.mean), device=device)
    return Method(
        network, extra, strategy, pipelines, name=name, classes=classes, seed=seed, smoothing=smoothing,
        draws=draws, refinement=refinement,
        saliency=StepSaliency.of(pipelines, network, extra, normalize, counts, named), image_range=image_range,
        class_weights=None if class_weights is None else class_weights.to(device),
    )  # fmt: skip


def _class_weights(given: Sequence[float] | Tensor | None, classes: int) -> Tensor | None:
    if given is None:
        return None
    weights = torch.as_tensor(given, dtype=torch.float32)
    if weights.shape != (classes,) or not bool(torch.isfinite(weights).all() & (weights >= 0).all()):
        raise InputError(f"method: class_weights: expected {classes} numbers that are at least 0, one per class")
    return weights


def _name(strategy: str | Spec | Strategy | LossFunction) -> str:
    if isinstance(strategy, str | Spec):
        return str(strategy)
    if isinstance(strategy, SimpleStrategy):
        return name_of(strategy.loss_of)
    return type(strategy).__name__ if isinstance(strategy, Strategy) else name_of(strategy)


def _statistics(mean: Sequence[float] | Tensor | None, std: Sequence[float] | Tensor | None) -> Statistics:
    if mean is None or std is None:
        raise InputError(
            "method: give mean= and std= of the training images per channel, values in [0, 1] "
            "(mean=[0] * 3, std=[1] * 3 leaves them as they are)"
        )
    found = (tuple(float(value) for value in mean), tuple(float(value) for value in std))
    if len(found[0]) != len(found[1]) or not 1 <= len(found[0]) <= MOST_CHANNELS or min(found[1]) <= 0:
        raise InputError(
            f"method: mean={list(found[0])}, std={list(found[1])}: one of each per channel (1 to {MOST_CHANNELS}), std above 0"
        )
    return found


def _networks(model: nn.Module | Sequence[nn.Module], strategy: Strategy, name: str) -> nn.Module:
    found = members(model) if isinstance(model, nn.Module) else list(model)
    if len(found) != strategy.networks:
        trains = f"{strategy.networks} networks" if strategy.networks > 1 else "one network"
        some = ", ".join(["first", "second", "third", "..."][: min(strategy.networks, 4)])
        how = f"give augury.method([{some}], ...)" if strategy.networks > 1 else "give one"
        raise InputError(f"method: {name} trains {trains}, not {len(found)}; {how}")
    return found[0] if len(found) == 1 else nn.ModuleList(found)


def _begin_groups(
    strategy: Strategy, name: str, groups: Groups | tuple[Tensor, Tensor] | None, pipelines: tuple[Pipeline, ...], classes: int
) -> None:
    if not strategy.needs_groups:
        return
    if groups is None:
        raise InputError(
            f"method: {name} needs the data's groups; give augury.method(..., groups=(labels, groups)) of all training images, "
            "and groups= with every batch"
        )
    if any(pipeline.mixes for pipeline in pipelines):
        raise InputError(f"method: the augmentation mixes images of several groups; leave the mix out for {name}")
    strategy.begin(groups if isinstance(groups, Groups) else Groups.of_labels(*groups, classes=classes))
