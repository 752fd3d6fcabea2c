"""Refined data augmentation: which stages are on in which epoch.

He et al. 2019, "Data augmentation revisited: rethinking the distribution gap between clean and augmented data",
arXiv:1909.09148, section 3.4: the intensive augmentation is switched off for the last epochs of a training.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from augury.augment.pipeline import Pipeline
from augury.augment.stages.normalize import Normalize
from augury.core.errors import InputError
from augury.core.plan import Clock, Fading
from augury.train.engine.settings import Settings
from augury.train.strategies.strategy import Strategy


def check_refinement(settings: Settings, pipelines: tuple[Pipeline, ...], strategy: Strategy) -> list[str]:
    """InputError for options that contradict each other; a note where there is nothing to switch off, as in a reference row."""
    s = settings
    if not s.refined:
        given = [
            n for n in ("refine_lr", "refine_mode", "refine_sched") if getattr(s, n) != Settings.__dataclass_fields__[n].default
        ]
        if given:
            raise InputError(f"--{given[0].replace('_', '-')}: nothing is refined; add --refine-epochs N or --refine-at EPOCH")
        return []
    if s.refine_epochs and s.refine_at is not None:
        raise InputError("--refine-at: given together with --refine-epochs, which adds epochs; leave one out")
    if s.refine_at is not None and not s.refine_at < s.epochs:
        raise InputError(f"--refine-at {s.refine_at}: must lie before --epochs {s.epochs}; --refine-epochs N adds epochs")
    intensive = any(stage.intensive for pipeline in pipelines for stage in pipeline.stages)
    if intensive or strategy.intensive or s.refine_mode == "nothing":
        return []
    return [f"{s.augment} has no intensive stage: the refinement trains on with it, at its own rate"]


def intensity_at(settings: Settings, epoch: int) -> float:
    """How much is left of intensive stages in an epoch (0-based): 1, 0 once refined, in between where gradual.

    gradual: falls linearly over the refinement's epochs, to 0 in the last one. It is the factor on an operation's own
    strength where that can fade (Mixup's alpha, as in the paper's section 4.1), and else on the chance to fire; with
    gradual_chance on the chance of all.
    """
    s = settings
    if not s.refined or epoch < s.stage_one:
        return 1.0
    if s.refine_mode not in ("gradual", "gradual_chance"):
        return 0.0
    return 1 - (epoch - s.stage_one + 1) / (s.total_epochs - s.stage_one)


def check_statistics(settings: Settings, networks: Iterable[nn.Module]) -> None:
    """InputError where there are no statistics to estimate, or where averaged weights would move on all the same."""
    if settings.refine_mode != "statistics":
        return
    if not all(any(map(_normalises, network.modules())) for network in networks):
        raise InputError(f"--refine-mode statistics: {settings.model} has no batch normalisation; leave the refinement out")
    if settings.model_ema_decay is not None:
        raise InputError("--refine-mode statistics: the weights stay, but --model-ema-decay goes on averaging them; leave one out")


def _normalises(module: nn.Module) -> bool:
    return isinstance(module, BatchNorm) and module.track_running_stats


def estimates_only(settings: Settings, clock: Clock) -> bool:
    """Whether a step leaves the weights alone and estimates the statistics of batch normalisation."""
    return settings.refine_mode == "statistics" and clock.intensity == 0


@contextmanager
def estimating(networks: Iterable[nn.Module]) -> Iterator[None]:
    """Batch normalisation's statistics from nothing, as the plain mean over the batches seen while this lasts."""
    every = [module for network in networks for module in network.modules()]
    normal = [module for module in every if isinstance(module, BatchNorm) and _normalises(module)]
    before = [module.momentum for module in normal]
    for module in normal:
        module.reset_running_stats()
        module.momentum = None  # PyTorch's word for the mean over all batches
    try:
        yield
    finally:
        for module, momentum in zip(normal, before, strict=True):
            module.momentum = momentum


def clock_at(settings: Settings, epoch: int, step: int) -> Clock:
    """The clock of a step. `epochs` counts stage one alone, so that schedules of policies do not depend on the refinement."""
    fading: Fading = "chance" if settings.refine_mode == "gradual_chance" else "strength"
    return Clock(epoch, max(settings.epochs, epoch + 1), step, intensity_at(settings, epoch), settings.seed, fading)


def pipelines_at(settings: Settings, pipelines: tuple[Pipeline, ...], clock: Clock) -> tuple[Pipeline, ...]:
    """The pipelines of a step: with refine_mode `nothing` those of the refinement only normalise."""
    if settings.refine_mode != "nothing" or clock.intensity > 0:
        return pipelines
    return tuple(Pipeline(tuple(s for s in p.stages if isinstance(s, Normalize)), p.seed) for p in pipelines)
