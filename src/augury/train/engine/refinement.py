"""The refinement that the settings specify."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from augury.augment.pipeline import Pipeline
from augury.core.errors import InputError
from augury.core.plan import Clock
from augury.train.engine.settings import Settings
from augury.train.method.refinement import Refinement
from augury.train.strategies.strategy import Strategy


def refinement_of(settings: Settings) -> Refinement:
    return Refinement(settings.refine_epochs, settings.refine_at, settings.refine_mode)


def check_refinement(settings: Settings, pipelines: tuple[Pipeline, ...], strategy: Strategy) -> list[str]:
    """InputError for options that contradict each other; returns a note if no stage can be switched off, as in a reference row."""
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
    return [f"{s.augment} has no intensive stage: the refinement continues with it, at its own learning rate"]


def intensity_at(settings: Settings, epoch: int) -> float:
    """The intensity of intensive stages in an epoch (0-based), see `Refinement`."""
    return refinement_of(settings).intensity(epoch, settings.total_epochs)


def check_statistics(settings: Settings, networks: Iterable[nn.Module]) -> None:
    """InputError if there are no statistics to estimate, or if averaged weights would change nevertheless."""
    if settings.refine_mode != "statistics":
        return
    if not all(any(map(_normalises, network.modules())) for network in networks):
        raise InputError(f"--refine-mode statistics: {settings.model} has no batch normalisation; leave the refinement out")
    if settings.model_ema_decay is not None:
        raise InputError("--refine-mode statistics: keeps the weights, but --model-ema-decay still averages them; leave one out")


def _normalises(module: nn.Module) -> bool:
    return isinstance(module, BatchNorm) and module.track_running_stats


def estimates_only(settings: Settings, clock: Clock) -> bool:
    """Whether a step only estimates the statistics of batch normalisation, without updating the weights."""
    return settings.refine_mode == "statistics" and clock.intensity == 0


@contextmanager
def estimating(networks: Iterable[nn.Module]) -> Iterator[None]:
    """Re-estimate the statistics of batch normalisation, as the plain mean over the batches in this context."""
    every = [module for network in networks for module in network.modules()]
    normal = [module for module in every if isinstance(module, BatchNorm) and _normalises(module)]
    before = [module.momentum for module in normal]
    for module in normal:
        module.reset_running_stats()
        module.momentum = None  # in PyTorch, the plain mean over all batches
    try:
        yield
    finally:
        for module, momentum in zip(normal, before, strict=True):
            module.momentum = momentum


def clock_at(settings: Settings, epoch: int, step: int) -> Clock:
    """The clock of a step."""
    return refinement_of(settings).clock(epoch, settings.total_epochs, step, settings.seed)
