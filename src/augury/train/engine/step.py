"""One optimiser step on the rows it is given: views, losses, gradients, update."""

import math
from collections.abc import Hashable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from augury.core.batch import Batch
from augury.core.plan import Clock
from augury.core.targets import Targets
from augury.train.data.dataset import Split
from augury.train.engine.feed import Share
from augury.train.engine.refinement import estimates_only
from augury.train.engine.streams import Drawn
from augury.train.engine.training import Training
from augury.train.method.views import Source, StepViews, belonging


class NotFinite(Exception):
    """Raised within a step, before its update, if the loss is not finite and reading it costs nothing (on the CPU)."""

    def __init__(self, loss: float) -> None:
        super().__init__(loss)
        self.loss = loss


def check_now(loss: Tensor) -> None:
    """On the CPU, raise NotFinite if the loss is not finite, before the weights change."""
    if loss.device.type == "cpu":
        value = loss.item()
        if not math.isfinite(value):
            raise NotFinite(value)


def compute(
    training: Training, share: Share, streams: dict[str, Drawn], clock: Clock, program: Hashable, epoch: Tensor | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Run a step's turns, each with its own update (none if only statistics are estimated); returns the loss and the logs.

    epoch: the clock's epoch as a tensor, if the step is captured.
    """
    t = training
    total = torch.zeros((), device=t.device)
    logs: dict[str, Tensor] = {}
    pieces = share.pieces(t.settings.grad_accum_steps)
    learns = not estimates_only(t.settings, clock)
    for turn in range(t.strategy.turns):
        t.update.begin()
        loss = torch.zeros((), device=t.device)
        for number, piece in enumerate(pieces):
            own = {name: drawn.share(number, len(pieces)) for name, drawn in streams.items()}
            half = torch.autocast(t.device.type, torch.bfloat16, enabled=t.bfloat16, cache_enabled=epoch is None)
            make = t.method.loss if t.overlapped is None else t.overlapped
            with _summing(t, last=number == len(pieces) - 1):
                with torch.set_grad_enabled(learns), half:
                    step = make(
                        sources(t, piece, own), clock, program=program, turn=turn, images=share.count, address=epoch
                    )  # fmt: skip
                part = step.loss if piece.weight == 1 else step.loss * piece.weight
                if learns:
                    part.backward()
            loss = loss + part.detach()
            for name, value in step.logs.items():
                value = value * (piece.weight / share.weight) if len(pieces) > 1 else value
                logs[name] = logs[name] + value if name in logs else value
        loss = t.update.gather(loss) if t.overlapped is None else t.world.sum(loss)
        check_now(loss)
        if learns:
            t.update.finish()
        total = total + loss
    return total, logs


def _summing(t: Training, *, last: bool) -> AbstractContextManager[None]:
    """A context in which gradients that are summed during the backward pass are summed only in that of the last piece."""
    return nullcontext() if t.overlapped is None or last else t.overlapped.no_sync()


def views(training: Training, share: Share, clock: Clock, streams: dict[str, Drawn]) -> StepViews:
    """The views of a step on these rows, for use outside a step."""
    return training.method.views(sources(training, share, streams), clock, share.count)


def sources(training: Training, share: Share, streams: dict[str, Drawn]) -> dict[str, Source]:
    """The step's images by stream."""
    data, classes = training.data, training.method.classes

    def train() -> Batch:
        batch = rows_of(data.train, share.rows, share.visits, classes, share.images)
        # A row with weight 0 is removed from its group, or it would count in the group's mean.
        return batch if share.weight or batch.groups is None else batch.replace(groups=torch.full_like(batch.groups, -1))

    found: dict[str, Source] = {"train": train}
    for name, drawn in streams.items():
        found[name] = lambda drawn=drawn: rows_of(drawn.split, drawn.rows, drawn.visits, classes, labelled=drawn.labelled)  # type: ignore[misc]
    for name, images in data.further.items():
        found[name] = lambda images=images: belonging(images[share.rows], data.train.ids[share.rows], share.visits)  # type: ignore[misc]
    return found


def rows_of(
    split: Split, rows: Tensor, visits: Tensor | None, classes: int, images: Tensor | None = None, *, labelled: bool = True
) -> Batch:
    """Rows of a split, not augmented. images: their pixels, uint8 [B,C,H,W], if already loaded."""
    pixels, ids = split.images[rows] if images is None else images, split.ids[rows]
    if not labelled:
        return Batch(pixels, None, ids, visits=visits)
    labels = split.labels[rows]
    if labels.ndim == 2:
        targets = Targets.of(labels, classes)
    else:  # unchecked, since reading values would stall a GPU
        targets = Targets(labels[:, None], torch.ones(len(labels), 1, device=labels.device), classes)
    return Batch(pixels, targets, ids, visits=visits, groups=None if split.groups is None else split.groups[rows])
