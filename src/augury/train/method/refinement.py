"""Refined data augmentation: which stages are on in which epoch.

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

    mode: `standard` switches the intensive stages off, `nothing` all but `normalize`. `gradual` lets them fade linearly, to 0 in
    the last epoch: an operation's own strength where that can fade (Mixup's alpha, as in the paper's section 4.1), else its
    chance to fire; `gradual_chance` fades the chance of all. `statistics` is for hosts that then leave the weights alone.
    """

    epochs: int = 0
    at: int | None = None
    mode: Mode = "standard"

    def __post_init__(self) -> None:
        if self.epochs and self.at is not None:
            raise InputError("refine_at: given together with refine_epochs; leave one out")

    def intensity(self, epoch: int, total: int) -> float:
        """How much is left of intensive stages in an epoch (0-based) of `total`: 1 before the refinement, 0 once refined."""
        start = total - self.epochs if self.at is None else self.at
        if epoch < start or (self.at is None and not self.epochs):
            return 1.0
        return 0.0 if self.mode not in ("gradual", "gradual_chance") else 1 - (epoch - start + 1) / (total - start)

    def clock(self, epoch: int, total: int, step: int, seed: int) -> Clock:
        """The clock of a step. Its `epochs` leave out those that refinement adds, which no policy's schedule depends on."""
        fading: Fading = "chance" if self.mode == "gradual_chance" else "strength"
        return Clock(epoch, max(total - self.epochs, epoch + 1), step, self.intensity(epoch, total), seed, fading)

    def pipelines(self, pipelines: tuple[Pipeline, ...], clock: Clock) -> tuple[Pipeline, ...]:
        """The pipelines of a step: with mode `nothing`, those of the refinement only normalise."""
        if self.mode != "nothing" or clock.intensity > 0:
            return pipelines
        return tuple(Pipeline(tuple(s for s in p.stages if isinstance(s, Normalize)), p.seed) for p in pipelines)
