"""Draws for the next calls on single images, made together: one image's draws take as long as those of many.

The draws of a call have its number in their address, so they are the same whenever they are made.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from augury.augment.flow import Flow, Output
from augury.augment.forms.backends import fuses
from augury.augment.forms.memory import Buffers
from augury.augment.stages.normalize import Normalize
from augury.augment.stages.plan import PlanStage
from augury.core.batch import Batch
from augury.core.noise import Noise
from augury.core.stage import Stage

if TYPE_CHECKING:
    from augury.augment.forms.chain import Prepared

CALLS = 64


@dataclass(frozen=True)
class _Drawn:
    """The records of calls `first` to `first` + CALLS - 1; `made` is None if the stages do not allow it."""

    seed: int
    shape: torch.Size
    first: int
    made: "Prepared | None"

    def holds(self, seed: int, shape: torch.Size, number: int) -> bool:
        return (seed, shape) == (self.seed, self.shape) and 0 <= number - self.first < CALLS


class Ahead:
    """What was drawn for later calls. Nothing is until two calls in a row agree in seed and shape."""

    def __init__(self) -> None:
        self._before: tuple[int, torch.Size, int] | None = None
        self._drawn: _Drawn | None = None  # replaced as a whole, since threads may share a pipeline

    def augmented(
        self, stages: Sequence[Stage], output: Output, buffers: Buffers, image: Tensor, seed: int, number: int
    ) -> Tensor | None:
        """uint8 [1,C,H,W] augmented as the call of that number; None if it was not drawn ahead, as for a first call."""
        if not fuses(image):
            return None
        shape, drawn = image.shape, self._drawn
        again, self._before = self._before == (seed, shape, number - 1), (seed, shape, number)
        if drawn is None or not drawn.holds(seed, shape, number):
            if not again:
                return None
            drawn = self._drawn = _Drawn(seed, shape, number, _made(stages, output, buffers, image, seed, number))
        return None if drawn.made is None else drawn.made.one(image, number - drawn.first, buffers)


def _made(
    stages: Sequence[Stage], output: Output, buffers: Buffers, image: Tensor, seed: int, first: int
) -> "Prepared | None":  # fmt: skip
    """The records of CALLS calls; None if a stage cannot be executed with the others, or its draws depend on other images."""
    if not all(isinstance(stage, Normalize) or (isinstance(stage, PlanStage) and stage.alone) for stage in stages):
        return None
    epochs = torch.arange(first, first + CALLS)
    batch = Batch(image.expand(CALLS, -1, -1, -1), None, torch.zeros_like(epochs))
    flow, noise = Flow(batch, output, buffers), Noise.of_epochs(seed, epochs)
    for number, stage in enumerate(stages):
        if not flow.fused(stage):
            return None
        flow.add(stage, stage.sample(batch, noise.fold(f"{stage.address}{number}")), drawn=True)
    return flow.prepared()
