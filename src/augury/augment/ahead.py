"""Draws for a pipeline's next calls, made together: the draws of one image take as long as those of hundreds.

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
from augury.core.openmp import on_one_thread
from augury.core.stage import Stage, Trace
from augury.core.targets import Targets

if TYPE_CHECKING:
    from augury.augment.forms.chain import Prepared

CALLS, ROWS = 256, 8192  # at most: calls, and images of all of them, that are drawn together


@dataclass(frozen=True)
class _Drawn:
    """The choices of some calls from `first` on, on images of this shape: every stage's trace, empty if a stage does not allow it.
    Partners are rows of their own call.

    made: the records, if one kernel executes all stages. mix: where it mixes labels, the partners (int64 [n]) and the weights of
    the own labels (float32 [n]).
    """

    seed: int
    shape: torch.Size
    first: int
    calls: int
    traces: tuple[Trace, ...] = ()
    made: "Prepared | None" = None
    mix: tuple[Tensor, Tensor] | None = None


class Ahead:
    """What was drawn for later calls of these stages. Nothing is until two calls in a row agree in seed and shape.

    only_planned: whether all stages are policies and normalisations, which read labels only where they mix them; others draw
    nothing ahead.
    """

    def __init__(self, stages: Sequence[Stage], output: Output, buffers: Buffers) -> None:
        self._stages, self._output, self._buffers = stages, output, buffers
        self.only_planned = all(isinstance(stage, PlanStage | Normalize) for stage in stages)
        self._before: tuple[int, torch.Size, int] | None = None
        self._drawn: _Drawn | None = None  # replaced as a whole, since threads may share a pipeline

    def augmented(self, batch: Batch, out: Tensor | None, seed: int, number: int) -> tuple[Tensor, Targets | None] | None:
        """Images and labels after all stages, as in the call of that number; None if it was not drawn ahead, as for a first call.
        What the environment says of back ends counts when calls are drawn.

        InputError if `out` cannot hold the result.
        """
        images, drawn = batch.images, self._drawn
        again, self._before = self._before == (seed, images.shape, number - 1), (seed, images.shape, number)
        if drawn is None or not _holds(drawn, seed, images, number):
            if not again or not fuses(images) or _calls(images.shape) < 2:
                return None
            drawn = self._drawn = on_one_thread(self._draw, images, seed, number)
        count = images.shape[0]
        first, targets = (number - drawn.first) * count, batch.targets
        if not drawn.traces:
            return None
        if drawn.made is None:
            return self._replayed(batch, out, drawn.traces, slice(first, first + count))
        if out is not None:
            check_out(out, images, Output(drawn.made.finish.written, self._output.channels_last))
        if drawn.mix is not None and targets is not None:
            partner, weight = (part[first : first + count] for part in drawn.mix)
            targets = targets.mix(partner, weight)
        return drawn.made.run(images, self._buffers, out, first), targets

    def _replayed(self, batch: Batch, out: Tensor | None, traces: Sequence[Trace], rows: slice) -> tuple[Tensor, Targets | None]:
        """Stage by stage, with a call's rows of their traces."""
        flow = Flow(batch, self._output, self._buffers, out)
        for stage, trace in zip(self._stages, traces, strict=True):
            flow.add(stage, {name: part[rows] for name, part in trace.items()}, drawn=True)
        done = flow.finish()
        return done.images, done.targets

    def _draw(self, images: Tensor, seed: int, first: int) -> _Drawn:
        """What some calls draw; nothing if a stage is neither of a policy nor a normalisation."""
        calls, mix = _calls(images.shape), None
        if not self.only_planned:
            return _Drawn(seed, images.shape, first, calls)
        epochs = torch.arange(first, first + calls, device="cpu").repeat_interleave(len(images))
        ids = torch.arange(len(images), device="cpu").repeat(calls)
        batch = Batch(images[:1].expand(len(ids), -1, -1, -1), None, ids)
        later, noise = Flow(batch, self._output, self._buffers), Noise.of_epochs(seed, epochs, ids)
        traces: list[Trace] = []
        together = True
        for number, stage in enumerate(self._stages):
            assert isinstance(stage, PlanStage | Normalize)
            drawn = noise.fold(f"{stage.address}{number}")
            trace = stage.sample(batch, drawn) if isinstance(stage, Normalize) else stage.sample(batch, drawn, batches=calls)
            traces.append(trace if "partner" not in trace else {**trace, "partner": trace["partner"] % len(images)})
            joint = isinstance(stage, PlanStage) and stage.joint
            together = together and later.fuses(stage) and not (joint and number < len(self._stages) - 1)
            if together:
                later.add(stage, traces[-1], drawn=True)
            weight = stage.own_weight(traces[-1], batch.sizes()) if together and isinstance(stage, PlanStage) else None
            mix = mix if weight is None else (traces[-1]["partner"][:, 0], weight)
        return _Drawn(seed, images.shape, first, calls, tuple(traces), later.prepared() if together else None, mix)


def _holds(drawn: _Drawn, seed: int, images: Tensor, number: int) -> bool:
    """Whether a call of pixels was drawn."""
    same = seed == drawn.seed and images.shape == drawn.shape and images.is_cpu
    return same and 0 <= number - drawn.first < drawn.calls


def _calls(shape: torch.Size) -> int:
    return min(CALLS, ROWS // shape[0])
