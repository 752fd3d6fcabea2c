"""Flow: a batch passing through a pipeline's stages, executed in as few passes over memory as possible.

Stages draw one after another, but are executed together: a compiled kernel applies all of them to an image while it is in
the cache and writes the result once, in the layout the network reads. Stages that need pixels in order to draw, and those
that are functions of whole images, split the chain; so do stages that read other images, which end their part of it.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from augury.augment.forms.backends import fuses
from augury.augment.forms.memory import Buffers
from augury.augment.stages.keep import KeepStage
from augury.augment.stages.normalize import Normalize
from augury.augment.stages.plan import PlanStage
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.stage import Stage, Trace
from augury.core.targets import Targets

if TYPE_CHECKING:
    from augury.augment.forms.chain import Finish, Prepared
    from augury.augment.forms.packing import Piece


@dataclass(frozen=True)
class Output:
    """The form of a pipeline's result: the dtype of values (None: unchanged), and whether memory is channels-last."""

    dtype: torch.dtype | None = None
    channels_last: bool = False

    def of(self, images: Tensor) -> Tensor:
        """The images in this form; copied only if they do not have it already."""
        if self.dtype is not None and images.is_floating_point():
            images = images.to(self.dtype)
        return images.contiguous(memory_format=torch.channels_last) if self.channels_last else images


@dataclass
class Flow:
    """A batch, and the stages that have drawn for it but are not executed yet.

    batch: its images are those before the waiting stages; its other fields are already those after them, except for the
    labels of a mix. out: the tensor that receives the result, if any.
    """

    batch: Batch
    output: Output
    buffers: Buffers
    out: Tensor | None = None
    _waiting: list[tuple[PlanStage | Normalize, Trace]] = field(default_factory=list)

    @property
    def on_values(self) -> bool:
        """Whether the images are normalised values once all stages are executed."""
        return self.batch.images.dtype != torch.uint8 or any(isinstance(stage, Normalize) for stage, _ in self._waiting)

    def execute(self) -> Batch:
        """The batch after executing all waiting stages."""
        while self._waiting:
            self._execute_some(Output())
        return self.batch

    def ready(self, stage: Stage) -> Batch:
        """The batch as `stage` needs it to draw. Waiting stages are executed first unless the stage only needs sizes."""
        return self.batch if self._together(stage) is not None else self.execute()

    def add(self, stage: Stage, trace: Trace, *, drawn: bool, last: bool = False) -> None:
        """`stage` is next, with its trace, which was either drawn for this batch or has to be checked. Raises InputError.

        last: no stage follows, so that it may write into `out` if that holds its images.
        """
        inner = self._together(stage)
        if inner is None:
            batch = self.execute()
            if drawn and isinstance(stage, PlanStage):
                self.batch = stage.execute(batch, trace, in_place=last and self._in_place(batch.images))
            else:
                self.batch = stage.apply(batch, trace)
            return
        if isinstance(inner, PlanStage) and not drawn:
            inner.check(self.batch, trace)
        self._waiting.append((inner, trace))
        if isinstance(inner, PlanStage) and inner.moves and self.batch.saliency is not None:
            self.batch = self.batch.replace(saliency=None)

    def _in_place(self, images: Tensor) -> bool:
        """Whether `out` is these images, and they have the form of the result already."""
        same = self.out is not None and self.out.data_ptr() == images.data_ptr() and images.is_contiguous()
        return same and not self.output.channels_last and self.output.dtype in (None, images.dtype)

    def finish(self) -> Batch:
        """The batch after all stages, in the requested output form."""
        while self._waiting:
            self._execute_some(self.output)
        images = self.output.of(self.batch.images)
        if self.out is not None and self.out.data_ptr() != images.data_ptr():
            check_out(self.out, images, Output(images.dtype, self.output.channels_last))
            images = self.out.copy_(images)
        self.batch = self.batch.replace(images=images)
        return self.batch

    def fuses(self, stage: Stage) -> bool:
        """Whether a kernel executes `stage` together with the waiting ones."""
        return self._together(stage) is not None

    def _together(self, stage: Stage) -> PlanStage | Normalize | None:
        """The stage as a kernel can fuse it with others; None if it must be executed by itself."""
        if not fuses(self.batch.images):
            return None
        if isinstance(stage, KeepStage):
            stage = stage.cutting or stage
        if isinstance(stage, Normalize):
            return None if self.on_values else stage
        if not isinstance(stage, PlanStage) or not stage.records or (stage.joint and stage.policy.slots > 1):
            return None
        return None if self.on_values and not stage.forms <= {"region", "mix"} else stage

    def _execute_some(self, last: Output) -> None:
        """Execute the waiting stages up to the first that reads other images. last: the output form if none is left then."""
        count = next(
            (k for k, (stage, _) in enumerate(self._waiting, 1) if isinstance(stage, PlanStage) and stage.joint), len(self._waiting)
        )
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        if not fuses(self.batch.images):  # after a mix of normalised values
            for stage, trace in group:
                self.batch = stage.execute(self.batch, trace) if isinstance(stage, PlanStage) else stage.apply(self.batch, trace)
            return
        self.batch = self._by_kernel(group, last if not self._waiting else Output(), None if self._waiting else self.out)

    def prepared(self) -> "Prepared":
        """The records of the waiting stages, of which the last alone may read other images."""
        from augury.augment.forms.chain import prepared

        pieces, finish, _ = self._lowered(self._waiting, self.output)
        return prepared(self.batch.sizes(), pieces, finish, len(self.batch))

    def _by_kernel(self, group: list[tuple[PlanStage | Normalize, Trace]], output: Output, out: Tensor | None) -> Batch:
        from augury.augment.forms.chain import chain

        batch = self.batch
        pieces, finish, targets = self._lowered(group, output)
        if out is not None:
            check_out(out, batch.images, Output(finish.written, output.channels_last))
        images = chain(batch.images, batch.sizes(), pieces, finish, self.buffers, out)
        return batch.replace(images=images, targets=targets)

    def _lowered(
        self, group: list[tuple[PlanStage | Normalize, Trace]], output: Output
    ) -> "tuple[list[Piece], Finish, Targets | None]":  # fmt: skip
        """The stages' records, what they end in, and the labels after them."""
        from augury.augment.forms.chain import Finish
        from augury.augment.forms.packing import Piece

        batch, size, values, pieces = self.batch, self.batch.sizes(), None, []
        targets = batch.targets
        for stage, trace in group:
            if isinstance(stage, Normalize):
                values = stage.coefficients(batch.images)
                continue
            lowered = stage.lower(trace, size)
            pieces.append(Piece(lowered, trace.get("box"), trace.get("partner"), values is not None))
            if stage.joint:
                targets = stage.mixed(targets, lowered, {n: trace[n][:, 0] for n in ("box", "partner") if n in trace}, size)
        return pieces, Finish(values, output.dtype or torch.float32, output.channels_last), targets


def check_overlap(out: Tensor, images: Tensor) -> None:
    """Raises InputError if `out` overlaps the images in memory without being the same tensor."""
    if out.device != images.device or out.numel() == 0 or images.numel() == 0:
        return
    same = out.data_ptr() == images.data_ptr() and out.dtype == images.dtype and out.stride() == images.stride()
    (start, stop), (first, last) = _range(out), _range(images)
    if not same and start < last and first < stop:
        raise InputError("out: overlaps the images in memory; pass the images themselves or a separate tensor")


def _range(tensor: Tensor) -> tuple[int, int]:
    """The first byte of a tensor and the one after its last."""
    reach = sum((length - 1) * step for length, step in zip(tensor.shape, tensor.stride(), strict=True)) + 1
    return tensor.data_ptr(), tensor.data_ptr() + reach * tensor.element_size()


def check_out(out: Tensor, images: Tensor, output: Output) -> None:
    """Raises InputError if `out` cannot hold the result, which has the images' shape."""
    if out.shape != images.shape:
        raise InputError(f"out: has the shape {list(out.shape)}, but the result has {list(images.shape)}")
    if out.dtype != output.dtype or out.device != images.device:
        raise InputError(f"out: is {out.dtype} on {out.device}, but the result is {output.dtype} on {images.device}")
    wanted = torch.channels_last if output.channels_last else torch.contiguous_format
    if not out.is_contiguous(memory_format=wanted):
        raise InputError(f"out: its memory layout differs from the result's, {str(wanted).removeprefix('torch.')}")
