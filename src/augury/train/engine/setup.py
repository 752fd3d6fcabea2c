"""Checks the parts of a training before anything is written."""

import torch
from torch import Tensor, nn

from augury.augment.pipeline import Pipeline
from augury.augment.saliency.maps import way_of
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.target_kind import TargetKind
from augury.core.targets import Targets
from augury.train.data.dataset import Dataset, Split
from augury.train.data.groups import Groups, groups_of
from augury.train.engine.sampling import check_balanced
from augury.train.engine.schedule import check_schedule
from augury.train.engine.selection import Selection
from augury.train.engine.settings import Settings
from augury.train.engine.world import World
from augury.train.method.saliency import wanted
from augury.train.strategies.strategy import Strategy, members


def begin_groups(
    settings: Settings, dataset: Dataset, strategy: Strategy, pipelines: tuple[Pipeline, ...], streams: set[str]
) -> Groups | None:
    """The data's groups, passed to a strategy that needs them; InputError if the data lack what the settings require."""
    missing = sorted(set(strategy.streams) - {"train", "unlabelled"} - streams)
    if missing:
        raise InputError(f"--strategy {settings.strategy}: needs {missing[0]} images; `augury patch` makes them")
    needed = strategy.needs_groups or settings.sampling == "groups" or "worst_group" in (settings.select, settings.metric)
    complete = dataset.train.groups is not None and bool((dataset.train.groups >= 0).all())
    groups = groups_of(dataset) if needed or complete else None
    if groups is not None and settings.sampling == "groups":
        check_balanced(int((groups.counts > 0).sum()), settings.batch_size or 0, "groups")
    if settings.sampling == "classes":
        check_balanced(len(dataset.train.strata.unique()), settings.batch_size or 0, "classes")
    if groups is not None and strategy.needs_groups:
        if any(pipeline.mixes for pipeline in pipelines):
            raise InputError(
                f"--augment {settings.augment}: mixes images of several groups; leave the mix out for {settings.strategy}"
            )
        strategy.begin(groups)
    Selection(settings.select, settings.patience, groups).check(dataset.validation)
    return groups


def class_weights(settings: Settings, labels: Tensor, classes: tuple[str, ...]) -> Tensor | None:
    """float32 [classes], the factor of each class's loss: images / (classes * images of the class), so that all classes weigh
    the same and the mean over the images is 1. With several labels per image, the factor of a present label: images without it /
    images with it. InputError if a class has no training image or, with several labels, if every image has it."""
    if settings.class_weights == "none":
        return None
    kind = TargetKind.of(labels)
    counts = kind.counts(labels.cpu(), len(classes)).double()
    if not bool(counts.all()):
        empty = classes[int((counts == 0).nonzero()[0])]
        raise InputError(f"--class-weights balanced: class {empty!r} has no training image; leave the class or the flag out")
    if kind is TargetKind.ONE:
        return (counts.sum() / (len(classes) * counts)).float()
    if bool((counts == len(labels)).any()):
        everywhere = classes[int((counts == len(labels)).nonzero()[0])]
        raise InputError(
            f"--class-weights balanced: every training image has class {everywhere!r}; leave the class or the flag out"
        )
    return ((len(labels) - counts) / counts).float()


def check_labels(settings: Settings, dataset: Dataset, strategy: Strategy, pipelines: tuple[Pipeline, ...]) -> None:
    """InputError if the data have several labels per image and a setting is defined for one class per image."""
    if dataset.kind is TargetKind.ONE:
        return
    several = "and DATA has several labels per image"
    if not strategy.several_labels:
        raise InputError(
            f"--strategy {settings.strategy}: is defined for one class per image, {several}; use erm or manifold_mixup"
        )
    if settings.sampling != "shuffled":
        raise InputError(
            f"--sampling {settings.sampling}: is defined for one class per image, {several}; use --class-weights balanced"
        )
    if settings.select == "worst_group":
        raise InputError(f"--select worst_group: is defined for one class per image, {several}; use --select validation")
    asked = wanted(pipelines)
    if asked is not None and way_of(asked.kind).labels:
        raise InputError(
            f"--augment {settings.augment}: saliency={asked.kind} explains one class per image, {several}; use saliency=attention"
        )


def check_channels(dataset: Dataset, pipelines: tuple[Pipeline, ...]) -> None:
    """InputError if an operation cannot take images of the data's number of channels, other than 1 (grey) and 3 (RGB)."""
    _, channels, height, width = dataset.train.images.shape
    if channels in (1, 3):
        return
    ids = torch.arange(2)
    labels = Targets.of(ids, 2)
    noise = Noise.of(0, ids)
    batch = Batch(torch.zeros(2, channels, height, width, dtype=torch.uint8), labels, ids, key=noise.key)
    for pipeline in pipelines:
        pipeline.run(batch, noise, saliency=lambda seen: seen.replace(saliency=torch.ones(len(seen), *seen.images.shape[-2:])))


def one_class_only(dataset: Dataset, command: str) -> None:
    """InputError if the data have several labels per image, which `command` does not support."""
    if dataset.kind is TargetKind.SEVERAL:
        raise InputError(
            f"{command}: is defined for one class per image, and DATA {dataset.name} has several labels; use train or compare"
        )


def check_update(settings: Settings, strategy: Strategy, world: World) -> None:
    """InputError for settings that contradict each other or that the strategy does not support."""
    check_schedule(settings)
    if settings.grad_accum_steps > 1 and strategy.turns > 1:
        raise InputError(f"--grad-accum-steps: --strategy {settings.strategy} keeps values between a step's updates; leave it out")
    if settings.smoothing and strategy.smoothing:
        raise InputError("--smoothing: given together with erm(smoothing=...); leave one out")
    if settings.grad_accum_steps > 1:
        if strategy.needs_groups:
            raise InputError(
                f"--grad-accum-steps: --strategy {settings.strategy} weighs the groups of whole batches; leave it out, or train in "
                "several processes under torchrun"
            )
        if settings.sampling == "groups":
            raise InputError("--sampling groups: balances whole batches; leave out --grad-accum-steps, or use several processes")
    if strategy.images_per_class and (settings.grad_accum_steps > 1 or world.size > 1):
        raise InputError(
            f"--strategy {settings.strategy}: compares the images of whole batches; use one process without --grad-accum-steps"
        )


@torch.no_grad()
def check_images(model: nn.Module, settings: Settings, dataset: Dataset) -> None:
    """InputError if a network cannot take the data's images, for example if they are too small for its pooling; tries one image."""
    _, channels, height, width = dataset.train.images.shape
    parameter = next(model.parameters())
    image = torch.zeros(1, channels, height, width, device=parameter.device)
    for network in members(model):
        training = network.training
        try:
            network.eval()(image)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError, AssertionError, IndexError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0][:150]
            raise InputError(
                f"--model {settings.model}: cannot take images of {height}x{width} ({reason}); give --image-size or another network"
            ) from None
        finally:
            network.train(training)


def first_two(split: Split, classes: int) -> Batch:
    """The first two images, for trying out a training's parts."""
    return Batch(
        split.images[torch.arange(2, device=split.labels.device)[: len(split.ids)]],
        Targets.of(split.labels[:2].cpu(), classes).to(split.labels.device),
        split.ids[:2],
    )


def on_device(split: Split, device: torch.device) -> Split:
    groups = None if split.groups is None else split.groups.to(device)
    return Split(split.images.to(device), split.labels.to(device), split.ids.to(device), groups)


def pick_device(name: str) -> torch.device:
    """The named device; `auto` picks a CUDA device if there is one. InputError if the device is not available."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        raise InputError(f"--device {name}: not available here; use cpu, or leave it out") from None
    return device


def cuda_devices(device: torch.device) -> list[torch.device]:
    return [device] if device.type == "cuda" else []
