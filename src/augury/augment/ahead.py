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
from augury.augment.stages.normalize import Normalize
from augury.augment.stages.plan import PlanStage
from augury.core.batch import Batch
from augury.core.noise import Noise
from augury.core.openmp import on_one_thread
from augury.core.stage import Stage, Trace

if TYPE_CHECKING:
    from augury.augment.forms.chain import Prepared

CALLS, ROWS = 256, 8192  # at most: calls, and images of all of them, that are drawn together


@dataclass(frozen=True)
class _Drawn:
    """The choices of calls from `first` on, on images of this shape: every stage's trace, empty if a stage does not allow it.
    Partners are rows of their own call.

    made: the records, if one kernel executes all stages. mix: where it mixes labels, the partners (int64 [n]) and the weights of
    the own labels (float32 [n]).
    """

    seed: int
    shape: torch.Size
    first: int
    traces: tuple[Trace, ...] = ()
    made: "Prepared | None" = None
    mix: tuple[Tensor, Tensor] | None = None

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
        count = shape[0]
        if not fuses(images) or _calls(shape) < 2:
            return None
        again, self._before = self._before == (seed, shape, number - 1), (seed, shape, number)
        if drawn is None or not drawn.holds(seed, shape, number):
            if not again:
                return None
            drawn = self._drawn = on_one_thread(_draw, stages, flow, seed, number)
        first, targets = (number - drawn.first) * count, batch.targets
        if drawn.made is None:
            for stage, trace in zip(stages, drawn.traces, strict=False):
                flow.add(stage, _rows(trace, first, count), drawn=True)
            return flow.finish() if drawn.traces else None
        ready = drawn.made.rows(first, count)
        if flow.out is not None:
            check_out(flow.out, images, Output(ready.finish.written, flow.output.channels_last))
        if drawn.mix is not None and targets is not None:
            partner, weight = (part[first : first + count] for part in drawn.mix)
            targets = targets.mix(partner, weight)
        return Batch(ready.run(images, flow.buffers, flow.out), targets, batch.ids)


def only_planned(stages: Sequence[Stage]) -> bool:
    """Whether all stages are policies and normalisations, which read labels only where they mix them."""
    return all(isinstance(stage, PlanStage | Normalize) for stage in stages)


def _rows(trace: Trace, first: int, count: int) -> Trace:
    """A call's rows of a trace."""
    return {name: part[first : first + count] for name, part in trace.items()}


def _calls(shape: torch.Size) -> int:
    return min(CALLS, ROWS // shape[0])


def _draw(stages: Sequence[Stage], flow: Flow, seed: int, first: int) -> _Drawn:
    """What some calls draw; nothing if a stage is neither of a policy nor a normalisation."""
    if not only_planned(stages):
        return _Drawn(seed, flow.batch.images.shape, first)
    images, calls, mix = flow.batch.images, _calls(flow.batch.images.shape), None
    epochs = torch.arange(first, first + calls, device="cpu").repeat_interleave(len(images))
    ids = torch.arange(len(images), device="cpu").repeat(calls)
    batch = Batch(images[:1].expand(len(ids), -1, -1, -1), None, ids)
    later, noise = Flow(batch, flow.output, flow.buffers), Noise.of_epochs(seed, epochs, ids)
    traces: list[Trace] = []
    together = True
    for number, stage in enumerate(stages):
        assert isinstance(stage, PlanStage | Normalize)
        drawn = noise.fold(f"{stage.address}{number}")
        trace = stage.sample(batch, drawn) if isinstance(stage, Normalize) else stage.sample(batch, drawn, batches=calls)
        traces.append(trace if "partner" not in trace else {**trace, "partner": trace["partner"] % len(images)})
        joint = isinstance(stage, PlanStage) and stage.joint
        together = together and later.fuses(stage) and not (joint and number < len(stages) - 1)
        if together:
            later.add(stage, traces[-1], drawn=True)
        weight = stage.own_weight(traces[-1], batch.sizes()) if together and isinstance(stage, PlanStage) else None
        mix = mix if weight is None else (traces[-1]["partner"][:, 0], weight)
    return _Drawn(seed, images.shape, first, tuple(traces), later.prepared() if together else None, mix)
