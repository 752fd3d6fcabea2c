"""Refined data augmentation: which stages are active in which epoch.

He et al. 2019, "Data augmentation revisited: rethinking the distribution gap between clean and augmented data",
arXiv:1909.09148, section 3.4: the intensive augmentation is switched off for the last epochs of a training.
"""

from dataclasses import dataclass
from typing import Literal

from augury.augment.pipeline import Pipeline
from augury.augment.stages.normalize import Normalize
from augury.core.errors import InputError
from augury.core.plan import Clock, Fading

Mode = Literal["standard", "nothing", "gradual", "gradual_chance", "statistics"]


@dataclass(frozen=True)
class Refinement:
    """The last `epochs` epochs of a training are refined, or those from epoch `at` on (0-based, within the schedule).

    mode: `standard` switches off the intensive stages, `nothing` all but `normalize`. `gradual` fades them linearly, to 0 in the
    last epoch: an operation's strength if that can fade (Mixup's alpha, as in the paper's section 4.1), otherwise its probability;
    `gradual_chance` always fades the probability. `statistics` is as `standard`, for hosts that then keep the weights unchanged.
    """

    epochs: int = 0
    at: int | None = None
    mode: Mode = "standard"

    def __post_init__(self) -> None:
        if self.epochs and self.at is not None:
            raise InputError("refine_at: given together with refine_epochs; leave one out")

    def intensity(self, epoch: int, total: int) -> float:
        """The intensity of intensive stages in an epoch (0-based) of `total`: 1 before the refinement, 0 once refined."""
        start = total - self.epochs if self.at is None else self.at
        if epoch < start or (self.at is None and not self.epochs):
            return 1.0
        return 0.0 if self.mode not in ("gradual", "gradual_chance") else 1 - (epoch - start + 1) / (total - start)

    def clock(self, epoch: int, total: int, step: int, seed: int) -> Clock:
        """The clock of a step. Its `epochs` exclude those that refinement adds, so that no policy's schedule depends on them."""
        fading: Fading = "chance" if self.mode == "gradual_chance" else "strength"
        return Clock(epoch, max(total - self.epochs, epoch + 1), step, self.intensity(epoch, total), seed, fading)

    def pipelines(self, pipelines: tuple[Pipeline, ...], clock: Clock) -> tuple[Pipeline, ...]:
        """The pipelines of a step; in mode `nothing`, those of refined epochs only normalise."""
        if self.mode != "nothing" or clock.intensity > 0:
            return pipelines
        return tuple(Pipeline(tuple(s for s in p.stages if isinstance(s, Normalize)), p.seed) for p in pipelines)
