"""Draws for a pipeline's next calls, made together: the draws of one image take as long as those of a thousand.

The draws of a call have its number in their address, so they are the same whenever they are made.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch

from augury.augment.flow import Flow, Output, check_out
from augury.augment.forms.backends import fuses
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
    """The records of calls from `first` on, on images of this shape; None if the stages do not allow it.

    last: the position of a last stage that is drawn in each call, since it reads other images.
    """

    seed: int
    shape: torch.Size
    first: int
    made: "Prepared | None"
    last: int | None

    def holds(self, seed: int, shape: torch.Size, number: int) -> bool:
        return (seed, shape) == (self.seed, self.shape) and 0 <= number - self.first < _calls(shape)


class Ahead:
    """What was drawn for later calls. Nothing is until two calls in a row agree in seed and shape."""

    def __init__(self) -> None:
        self._before: tuple[int, torch.Size, int] | None = None
        self._drawn: _Drawn | None = None  # replaced as a whole, since threads may share a pipeline

    def augmented(self, stages: Sequence[Stage], flow: Flow, seed: int, number: int) -> Batch | None:
        """The flow's batch after all stages, as in the call of that number; None if it was not drawn ahead, as for a first call.

        InputError if the flow's `out` cannot hold the result.
        """
        batch, images = flow.batch, flow.batch.images
        shape, drawn = images.shape, self._drawn
        if not fuses(images) or _calls(shape) < 2:
            return None
        again, self._before = self._before == (seed, shape, number - 1), (seed, shape, number)
        if drawn is None or not drawn.holds(seed, shape, number):
            if not again:
                return None
            drawn = self._drawn = _draw(stages, flow, seed, number)
        if drawn.made is None:
            return None
        ready = drawn.made.rows((number - drawn.first) * len(images), len(images))
        if flow.out is not None:
            check_out(flow.out, images, Output(ready.finish.written, flow.output.channels_last))
        if drawn.last is None:
            return batch.replace(images=ready.run(images, flow.buffers, flow.out))
        stage, noise = cast(PlanStage, stages[drawn.last]), Noise.of(seed, batch.ids, epoch=number)
        return flow.joined(ready, stage, stage.sample(batch, noise.fold(f"{stage.address}{drawn.last}")))


def _calls(shape: torch.Size) -> int:
    return min(CALLS, ROWS // shape[0])


def _draw(stages: Sequence[Stage], flow: Flow, seed: int, first: int) -> _Drawn:
    """The records of some calls, of all stages but a last one that reads other images. Not made if a stage cannot be executed
    with the others, or its draws depend on other images."""
    images, output, buffers = flow.batch.images, flow.output, flow.buffers
    epochs = torch.arange(first, first + _calls(images.shape)).repeat_interleave(len(images))
    batch = Batch(images[:1].expand(len(epochs), -1, -1, -1), None, torch.arange(len(images)).repeat(_calls(images.shape)))
    later, noise, last = Flow(batch, output, buffers), Noise.of_epochs(seed, epochs, batch.ids), None
    for number, stage in enumerate(stages):
        alone = isinstance(stage, Normalize) or (isinstance(stage, PlanStage) and stage.alone)
        if later.fuses(stage) and alone:
            later.add(stage, stage.sample(batch, noise.fold(f"{stage.address}{number}")), drawn=True)
        elif later.fuses(stage) and isinstance(stage, PlanStage) and stage.joint and number == len(stages) - 1:
            last = number
        else:
            return _Drawn(seed, images.shape, first, None, None)
    return _Drawn(seed, images.shape, first, later.prepared(), last)
