"""One optimiser step on the rows it is given: views, losses, gradients, update."""

import math
from typing import Any

import torch
from torch import Tensor

from augury.core.plan import Clock
from augury.train.engine.costs import counting
from augury.train.engine.feed import Share
from augury.train.engine.refinement import estimates_only, pipelines_at
from augury.train.engine.setup import use_bfloat16
from augury.train.engine.streams import Drawn
from augury.train.engine.training import Training
from augury.train.engine.views import StepViews


class NotFinite(Exception):
    """Raised within a step, before its update, where looking at the loss costs nothing."""

    def __init__(self, loss: float) -> None:
        super().__init__(loss)
        self.loss = loss


def check_now(loss: Tensor) -> None:
    """On the CPU, raise NotFinite before the weights are touched."""
    if loss.device.type == "cpu":
        value = loss.item()
        if not math.isfinite(value):
            raise NotFinite(value)


def compute(
    training: Training, share: Share, streams: dict[str, Drawn], clock: Clock, program: Any, epoch: Tensor | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """A step's turns, each with an update of its own; without any where only statistics are estimated.

    epoch: the clock's as a tensor, for a step that is captured.
    """
    t = training
    total = torch.zeros((), device=t.device)
    logs: dict[str, Tensor] = {}
    pieces = share.pieces(t.settings.grad_accum_steps)
    learns = not estimates_only(t.settings, clock)
    with counting(t.networks, t.counts, share.count):
        for turn in range(t.strategy.turns):
            t.update.begin()
            loss = torch.zeros((), device=t.device)
            for number, piece in enumerate(pieces):
                own = {name: drawn.share(number, len(pieces)) for name, drawn in streams.items()}
                seen = views(training, piece, clock, own, epoch)
                with (
                    torch.set_grad_enabled(learns),
                    torch.autocast(
                        t.device.type,
                        torch.bfloat16,
                        enabled=use_bfloat16(t.settings, t.device),
                        cache_enabled=epoch is None,
                    ),
                ):
                    step = t.strategy(t.model, seen, program=program, turn=turn)
                part = step.loss if piece.weight == 1 else step.loss * piece.weight
                if learns:
                    part.backward()
                loss = loss + part.detach()
                for name, value in step.logs.items():
                    value = value * (piece.weight / share.weight) if len(pieces) > 1 else value
                    logs[name] = logs[name] + value if name in logs else value
            loss = t.update.gather(loss)
            check_now(loss)
            if learns:
                t.update.finish()
            total = total + loss
    return total, logs


def views(training: Training, share: Share, clock: Clock, streams: dict[str, Drawn], epoch: Tensor | None = None) -> StepViews:
    """The views of a step on these rows."""
    t = training
    return StepViews(
        t.train_split, share.rows, len(t.dataset.classes), pipelines_at(t.settings, t.pipelines, clock),
        t.settings.seed, clock, t.counts, share.visits,
        None if t.fill is None else t.fill.at(clock, share.count), streams, t.further,
        images=share.images, address=epoch, smoothing=t.settings.smoothing,
    )  # fmt: skip
