"""Flow: a batch on its way through a pipeline's stages, executed in as few passes over memory as can be.

Stages are drawn one after another, but what they ask for is executed together: a compiled kernel takes an image through all
of it while it lies in the cache and writes it once, as the network reads it. What looks at pixels between stages (saliency, a
function of users' own) and what reads another image's pixels splits the chain there.
"""

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from augury.augment.forms.backends import fuses
from augury.augment.forms.packing import Piece
from augury.augment.stage import Normalize, PlanStage, Trace
from augury.core.batch import Batch


@dataclass(frozen=True)
class Output:
    """What a pipeline hands out: `dtype` of normalised values (None: float32), and whether channels come last in memory."""

    dtype: torch.dtype | None = None
    channels_last: bool = False

    def of(self, images: Tensor) -> Tensor:
        """The images in this form; not copied where they have it."""
        if self.dtype is not None and images.is_floating_point():
            images = images.to(self.dtype)
        return images.contiguous(memory_format=torch.channels_last) if self.channels_last else images


@dataclass
class Flow:
    """A batch and the stages that are drawn for it but not yet executed.

    batch.images are those before the waiting stages; everything else of the batch is as after them.
    """

    batch: Batch
    output: Output = Output()
    buffer: Tensor | None = None
    _waiting: list[tuple[PlanStage | Normalize, Trace]] = field(default_factory=list)

    @property
    def on_values(self) -> bool:
        """Whether the images are, or will be, normalised values."""
        return self.batch.images.is_floating_point() or any(isinstance(stage, Normalize) for stage, _ in self._waiting)

    def ready_for(self, stage: Stage) -> Batch:
        """The batch that `stage` may draw for; executes what waits unless the stage only needs to know sizes."""
        if not waits(stage):
            self.execute()
        return self.batch

    def add(self, stage: Stage, trace: Trace) -> None:
        """`stage` with its drawn trace comes next."""
        inner = stage.fusible
        if inner is None or not fuses(self.batch.images) or not inner.can_follow(self.on_values):
            self.execute()
            self.batch = stage.apply(self.batch, trace)
            return
"""
