"""Refined data augmentation: which stages are on in which epoch.

He et al. 2019, "Data augmentation revisited: rethinking the distribution gap between clean and augmented data",
arXiv:1909.09148, section 3.4: the intensive augmentation is switched off for the last epochs of a training.
"""

from augury.augment.pipeline import Pipeline
from augury.augment.stages.normalize import Normalize
from augury.core.errors import InputError
from augury.core.plan import Clock
from augury.train.engine.settings import Settings
from augury.train.strategies.strategy import Strategy


def check_refinement(settings: Settings, pipelines: tuple[Pipeline, ...], strategy: Strategy) -> list[str]:
    """InputError for options that contradict each other; a note where there is nothing to switch off, as in a reference row."""
    s = settings
    if not s.refined:
        given = [n for n in ("refine_lr", "refine_mode") if getattr(s, n) != Settings.__dataclass_fields__[n].default]
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
    """The chance with which intensive stages still fire in an epoch (0-based): 1, 0 once refined, in between where gradual.

    gradual: falls linearly over the refinement's epochs, to 0 in the last one.
    """
    s = settings
    if not s.refined or epoch < s.stage_one:
        return 1.0
    if s.refine_mode != "gradual":
        return 0.0
    return 1 - (epoch - s.stage_one + 1) / (s.total_epochs - s.stage_one)


def clock_at(settings: Settings, epoch: int, step: int) -> Clock:
    """The clock of a step. `epochs` counts stage one alone, so that schedules of policies do not depend on the refinement."""
    return Clock(epoch, max(settings.epochs, epoch + 1), step, intensity_at(settings, epoch), settings.seed)


def pipelines_at(settings: Settings, pipelines: tuple[Pipeline, ...], clock: Clock) -> tuple[Pipeline, ...]:
    """The pipelines of a step: with refine_mode `nothing` those of the refinement only normalise."""
    if settings.refine_mode != "nothing" or clock.intensity > 0:
        return pipelines
    return tuple(Pipeline(tuple(s for s in p.stages if isinstance(s, Normalize)), p.seed) for p in pipelines)
