"""Draws for a pipeline's next calls, made together: the draws of one image take as long as those of a thousand.

The draws of a call have its number in their address, so they are the same whenever they are made.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from augury.augment.flow import Flow, Output, check_out
from augury.augment.forms.backends import fuses
from augury.augment.forms.memory import Buffers
from augury.augment.stages.normalize import Normalize
from augury.augment.stages.plan import PlanStage
from augury.core.batch import Batch
from augury.core.noise import Noise
from augury.core.stage import Stage

if TYPE_CHECKING:
    from augury.augment.forms.chain import Prepared

CALLS, ROWS = 64, 1024  # at most: calls, and images of all of them, that are drawn together


@dataclass(frozen=True)
class _Drawn:
    """The records of calls from `first` on, on images of this shape; `made` is None if the stages do not allow it."""

    seed: int
    shape: torch.Size
    first: int
    made: "Prepared | None"

    def holds(self, seed: int, shape: torch.Size, number: int) -> bool:
        return (seed, shape) == (self.seed, self.shape) and 0 <= number - self.first < _calls(shape)


class Ahead:
    """What was drawn for later calls. Nothing is until two calls in a row agree in seed and shape."""

    def __init__(self) -> None:
        self._before: tuple[int, torch.Size, int] | None = None
        self._drawn: _Drawn | None = None  # replaced as a whole, since threads may share a pipeline

    def augmented(
        self, stages: Sequence[Stage], output: Output, buffers: Buffers, images: Tensor, seed: int, number: int, out: Tensor | None
    ) -> Tensor | None:
        """uint8 [B,C,H,W] augmented as the call of that number, into `out` if given; None if it was not drawn ahead, as for a
        first call. InputError if `out` cannot hold the result."""
        shape, drawn = images.shape, self._drawn
        if not fuses(images) or _calls(shape) < 2:
            return None
        again, self._before = self._before == (seed, shape, number - 1), (seed, shape, number)
        if drawn is None or not drawn.holds(seed, shape, number):
            if not again:
                return None
            drawn = self._drawn = _Drawn(seed, shape, number, _made(stages, output, buffers, images, seed, number))
        if drawn.made is None:
            return None
        if out is not None:
            check_out(out, images, Output(drawn.made.finish.written, output.channels_last))
        return drawn.made.run(images, buffers, out, (number - drawn.first) * len(images))


def _calls(shape: torch.Size) -> int:
    return min(CALLS, ROWS // shape[0])


def _made(
    stages: Sequence[Stage], output: Output, buffers: Buffers, images: Tensor, seed: int, first: int
) -> "Prepared | None":  # fmt: skip
    """The records of some calls; None if a stage cannot be executed with the others, or its draws depend on other images."""
    if not all(isinstance(stage, Normalize) or (isinstance(stage, PlanStage) and stage.alone) for stage in stages):
        return None
    calls = _calls(images.shape)
    epochs, ids = torch.arange(first, first + calls).repeat_interleave(len(images)), torch.arange(len(images)).repeat(calls)
    batch = Batch(images[:1].expand(len(ids), -1, -1, -1), None, ids)
    flow, noise = Flow(batch, output, buffers), Noise.of_epochs(seed, epochs, ids)
    for number, stage in enumerate(stages):
        if not flow.fused(stage):
            return None
        flow.add(stage, stage.sample(batch, noise.fold(f"{stage.address}{number}")), drawn=True)
    return flow.prepared()
