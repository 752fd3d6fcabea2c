"""The refinement that the settings ask for."""

from augury.augment.pipeline import Pipeline
from augury.core.errors import InputError
from augury.core.plan import Clock
from augury.train.engine.settings import Settings
from augury.train.method.refinement import Refinement
from augury.train.strategies.strategy import Strategy


def refinement_of(settings: Settings) -> Refinement:
    return Refinement(settings.refine_epochs, settings.refine_at, settings.refine_mode)


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
    """The chance with which intensive stages still fire in an epoch (0-based)."""
    return refinement_of(settings).intensity(epoch, settings.total_epochs)


def clock_at(settings: Settings, epoch: int, step: int) -> Clock:
    """The clock of a step."""
    return refinement_of(settings).clock(epoch, settings.total_epochs, step, settings.seed)
