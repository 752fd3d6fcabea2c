"""Pipeline: stages in order, applied to a Batch with ids or to plain images."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, overload

import torch
from PIL import Image
from torch import Tensor

from augury.augment.ahead import Ahead
from augury.augment.annotations.options import Annotations
from augury.augment.annotations.structure import is_structure
from augury.augment.flow import Flow, Output, check_overlap
from augury.augment.forms.memory import Buffers
from augury.augment.inputs import as_pixels, targets_where
from augury.augment.module import PipelineModule
from augury.augment.pil import from_pil, to_pil
from augury.augment.stages.normalize import Normalize
from augury.augment.worker_seeds import seed_here
from augury.core import plugins
from augury.core.batch import Batch
from augury.core.checks import check_batch
from augury.core.devices import as_tensor, check_augments, counted
from augury.core.doors import door
from augury.core.errors import InputError
from augury.core.grammar import joined_text
from augury.core.noise import Noise
from augury.core.plan import Clock
from augury.core.stage import Stage, Trace
from augury.core.targets import Targets

if TYPE_CHECKING:
    from augury.augment.shown import Samples

SaliencySource = Callable[[Batch], Batch]  # gives a batch its saliency map
Builder = Callable[..., "Pipeline"]


@dataclass
class Pipeline:
    """An augmentation: `run` draws and applies, `apply` replays a trace, and a call augments plain images.

    >>> import augury
    >>> images = torch.zeros(4, 3, 32, 32, dtype=torch.uint8)
    >>> augury.pipeline("randaugment", num_ops=2, magnitude=9)(images).shape
    torch.Size([4, 3, 32, 32])

    Pipelines behave like sequences of stages: `a + b`, `a + "cutout"`, `len(a)`, `a[0]`, `a[1:]`. A stage's draws depend on its
    position, so that it may draw differently in a slice than in the whole.

    origin, builder: the text it was made from and the function that rebuilds it, for pickling. texts: each stage's, or None.
    output: the dtype of normalised values and the memory layout. annotations: how masks, boxes and key points follow.
    mixes: whether samples are mixed, so that labels become `Targets`. normalize: the stage that normalises, if there is one.
    The memory of a result is reused once nothing refers to it any more.
    """

    stages: tuple[Stage, ...]
    seed: int = 0
    origin: str | None = None
    builder: Builder | None = field(default=None, repr=False, compare=False)
    texts: tuple[str | None, ...] | None = field(default=None, repr=False, compare=False)
    output: Output = field(default=Output(), repr=False)
    annotations: Annotations = field(default=Annotations(), repr=False)
    mixes: bool = field(init=False, repr=False, compare=False)
    normalize: Normalize | None = field(init=False, repr=False, compare=False)
    # A tensor, so that a compiled graph reads the number of calls instead of being recompiled for every call.
    _calls: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.int64, device="cpu"), repr=False, compare=False)
    _buffers: Buffers = field(init=False, default_factory=Buffers, repr=False, compare=False)
    _only_normalises: bool = field(init=False, repr=False, compare=False)
    _ahead: Ahead = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.mixes = any(stage.mixes_labels for stage in self.stages)
        self.normalize = next((stage for stage in self.stages if isinstance(stage, Normalize)), None)
        self._only_normalises = all(isinstance(stage, Normalize) for stage in self.stages)  # on any device, then
        self._ahead = Ahead(self.stages, self.output, self._buffers)

    @door
    def run(
        self,
        batch: Batch,
        noise: Noise,
        *,
        saliency: SaliencySource | None = None,
        intensity: float | Tensor = 1.0,
        refined: bool = False,
        clock: Clock | None = None,
        out: Tensor | None = None,
    ) -> tuple[Batch, list[Trace | None]]:
        """The augmented batch and its trace, one entry per stage (None: switched off by refinement).

        saliency: called just before the first stage that needs saliency. intensity in [0,1]: the probability that an intensive
        stage fires at all. refined: intensive stages are off. out: receives the images and must have the result's shape,
        dtype and layout; it may be the batch's own images unless the pipeline normalises them.
        """
        check_batch(batch)
        if len(noise) != len(batch):
            raise InputError(f"noise: for {len(noise)} images, and the batch has {len(batch)}; make it from the batch's ids")
        if not self._only_normalises:
            check_augments(batch.images.device)
        if out is not None:
            check_overlap(out, batch.images)
        flow = Flow(batch, self.output, self._buffers, out)
        traces: list[Trace | None] = []
        for number, stage in enumerate(self.stages):
            if refined and stage.intensive:
                traces.append(None)
                continue
            if saliency is not None and "saliency" in stage.needs and flow.batch.saliency is None:
                flow.batch = saliency(flow.execute())
            share = intensity if stage.intensive else 1.0
            if stage.domain == "pixels" and flow.on_values:
                given = flow.batch.images.dtype
                what = f"uint8 pixels in a Batch, got {given}" if given != torch.uint8 else "pixels, and these are normalised"
                raise InputError(f"images: {stage.name} takes {what}; augment before normalising")
            trace = stage.sample(flow.ready(stage), noise.fold(f"{stage.address}{number}"), clock, share)
            flow.add(stage, trace, drawn=True, last=number == len(self.stages) - 1)
            if len(flow.batch) != len(noise):
                noise = stage.repeat(noise)
                flow.batch = flow.batch if flow.batch.key is None else flow.batch.replace(key=noise.key)
            traces.append(trace)
        return flow.finish(), traces

    @door
    def apply(self, batch: Batch, traces: list[Trace | None]) -> Batch:
        """The same augmentation again, from its trace: no noise and no model are needed. Raises InputError for another's trace."""
        check_batch(batch)
        self._check_traces(traces)
        flow = Flow(batch, self.output, self._buffers)
        for stage, trace in zip(self.stages, traces, strict=True):
            if trace is not None:
                flow.add(stage, trace, drawn=False)
        return flow.finish()

    def _check_traces(self, traces: list[Trace | None]) -> None:
        if not isinstance(traces, list | tuple) or len(traces) != len(self.stages):
            found = f"{len(traces)}" if isinstance(traces, list | tuple) else type(traces).__name__
            raise InputError(f"trace: expected a list with one entry for each of {len(self.stages)} stages, got {found}")

    def __repr__(self) -> str:
        """Python code that rebuilds it, if it has a text."""
        if self.origin is None:
            return f"<Pipeline of {', '.join(stage.name for stage in self.stages) or 'no stages'}; seed {self.seed}>"
        return f"augury.pipeline({self.origin!r}{f', seed={self.seed}' if self.seed else ''})"

    def _repr_html_(self) -> str:
        """A table of its stages, for notebooks."""
        from augury.augment.shown import table

        return table(self.stages, self.all_texts, self.origin)

    @door
    def samples(self, images: Any, *, draws: int = 5, saliency: SaliencySource | None = None) -> "Samples":
        """Several draws of a few images, shown by a notebook as one row per image with what was drawn below each picture.

        images: as for a call. saliency: for stages that need saliency. Later calls draw the same as without this one.
        """
        from augury.augment.shown import Samples

        if not 1 <= draws <= 1000:
            raise InputError("draws: must be from 1 to 1000")
        pixels, _ = as_pixels(from_pil(images) if isinstance(images, Image.Image) else images)
        ids = torch.arange(len(pixels), device=pixels.device)
        targets = Targets.of(torch.zeros_like(ids).cpu(), 1).to(pixels.device)
        done, words = [], []
        for epoch in range(draws):
            batch, traces = self.run(Batch(pixels, targets, ids), Noise.of(self.seed, ids, epoch=epoch), saliency=saliency)
            done.append(batch.images[: len(pixels)].cpu())
            words.append([self.describe(traces, row) for row in range(len(pixels))])
        return Samples(repr(self), pixels.cpu(), done, words)

    def __len__(self) -> int:
        return len(self.stages)

    def __bool__(self) -> bool:
        return True

    @door
    def __getitem__(self, place: int | slice) -> "Pipeline":
        """One stage or a slice of stages, as a pipeline."""
        if not isinstance(place, slice):
            if not -len(self) <= place < len(self):
                raise IndexError(f"stage {place} of a pipeline of {len(self)}")
            place = slice(place, place + 1 or None)
        texts = self.all_texts[place]
        return Pipeline(self.stages[place], self.seed, joined_text(texts), self.builder, texts, annotations=self.annotations)

    def __add__(self, other: "Pipeline | str | Stage") -> "Pipeline":
        return self._put_together(self, other)

    def __radd__(self, other: "str | Stage") -> "Pipeline":
        return self._put_together(other, self)

    def _put_together(self, first: object, second: object) -> "Pipeline":
        if not all(isinstance(part, Pipeline | str | Stage) for part in (first, second)):
            return NotImplemented
        if self.builder is None:
            raise InputError("pipeline: built directly from stages; build it with augury.pipeline([...]) to add to it")
        return self.builder([first, second])

    @property
    def all_texts(self) -> tuple[str | None, ...]:
        """The text of each stage, or None if it has none."""
        return self.texts if self.texts is not None else (None,) * len(self.stages)

    @property
    def normalises(self) -> bool:
        """Whether the result is normalised values and not pixels."""
        return self.normalize is not None

    def module(self) -> PipelineModule:
        """The pipeline as an `nn.Module`, which augments in training mode only."""
        return PipelineModule(copy.copy(self))

    @door
    def describe(self, traces: list[Trace | None], row: int) -> str:
        """What was drawn for one row of a batch, in words."""
        self._check_traces(traces)
        row = int(row)
        rows = {len(part) for trace in traces if trace for part in trace.values()}
        if rows and not -min(rows) <= row < min(rows):
            raise InputError(f"row: the trace has the rows 0 to {min(rows) - 1}")
        words = (stage.describe(t, row) for stage, t in zip(self.stages, traces, strict=True) if t is not None)
        return ", ".join(w for w in words if w)

    @overload
    def __call__(self, images: Tensor, labels: None = None, *, classes: int | None = None, out: Tensor | None = None) -> Tensor: ...
    @overload
    def __call__(self, images: Any, labels: Any = None, *, classes: int | None = None, out: Tensor | None = None) -> Any: ...

    @door
    def __call__(self, images: Any, labels: Any = None, *, classes: int | None = None, out: Tensor | None = None) -> Any:
        """Augment plain images: a PIL image, [C,H,W] or [B,C,H,W]; uint8, or float in [0,1] (quantised to 8 bits).

        Returns images of the same kind, shape and dtype, or tensors of the pipeline's dtype if it normalises; with `labels`
        (class indices or soft labels), (images, labels): unchanged, or `Targets` if a stage mixes samples (pass `classes` if the
        batch may lack the highest class). Draws are new in every call, DataLoader worker and process.

        Images may also be given in dicts, lists and tuples with torchvision's `tv_tensors`. Masks, boxes and key points follow
        their image by the same draw, and everything is returned in its original type ([docs/detection-and-segmentation.md]).

        out: a tensor of the result's shape, dtype and memory layout that receives the result and is returned; `out=images`
        augments uint8 images in place. Raises InputError for a wrong shape, dtype or range.
        """
        if isinstance(images, Batch):
            return self.run(images, Noise.of(self.seed, images.ids, visits=images.visits), out=out)[0]
        if is_structure(images, labels):
            return self._structured(images, labels, classes, out)
        one = isinstance(images, Image.Image)
        done = self._plain(from_pil(images) if one else images, labels, classes, out)
        if not one or self.normalises or out is not None:
            return done
        return to_pil(done) if labels is None else (to_pil(done[0]), done[1])

    def _plain(self, images: Any, labels: Any, classes: int | None, out: Tensor | None) -> Any:
        """A call on a tensor of images."""
        pixels, restore = as_pixels(images)
        if not self._only_normalises:
            check_augments(pixels.device)
        count, single, mixes = pixels.shape[0], images.ndim == 3, self.mixes
        if mixes and single:
            raise InputError("images: this pipeline mixes samples and needs a batch; put it after batching")
        targets = targets_where(mixes or not self._ahead.only_planned, labels, single, count, classes)
        if mixes and targets is None:
            raise InputError("labels: this pipeline mixes samples, so call it as pipeline(images, labels)")
        if out is not None:
            if images.dtype != torch.uint8 and not self.normalises:
                raise InputError("out: float images are converted to 8 bits and back; pass uint8 images, or omit out")
            if out.ndim != images.ndim:
                raise InputError(f"out: has the shape {list(out.shape)}, but the images have {list(images.shape)}")
            check_overlap(out, images)
        ids = counted(count, pixels.device)
        seed, number = seed_here(self.seed), self._number(ids)
        self._calls.add_(1)
        batch, into = Batch(pixels, targets, ids), out[None] if out is not None and single else out
        found = self._ahead.augmented(batch, into, seed, number) if isinstance(number, int) and self.origin is not None else None
        if found is None:
            after = self.run(batch, Noise.of(seed, ids, epoch=number), out=into)[0]
            found = after.images, after.targets
        result, targets = found
        done = restore(result) if not self.normalises else result[0] if single else result
        if labels is None:
            return done if out is None else out
        if not mixes and (copies := result.shape[0] // max(1, count)) > 1:
            labels = as_tensor(labels).repeat(copies, *[1] * (as_tensor(labels).ndim - 1))
        return done if out is None else out, targets if mixes else labels

    def _structured(self, images: object, labels: object, classes: int | None, out: Tensor | None) -> Any:
        """A call on images with what belongs to them."""
        from augury.augment.annotations.call import Call

        if out is not None:
            raise InputError("out: is for plain images; leave it out where masks, boxes or key points are passed")
        if self.mixes and labels is not None and not is_structure(None, labels):
            labels = as_tensor(labels)
        call = Call(self, self._noise(), self.annotations, self.mixes, self.normalises)
        return call(images if labels is None else (images, labels), classes)

    def _noise(self) -> Callable[[Tensor], Noise]:
        """The noise of this call, by the numbers of rows."""
        seed, number = seed_here(self.seed), int(self._calls)
        self._calls.add_(1)
        return lambda ids: Noise.of(seed, ids, epoch=number)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Pipeline":
        """Stages that learn stay shared with other objects in the same copy, such as a network that contains the pipeline."""
        return replace(self, stages=copy.deepcopy(self.stages, memo), _calls=self._calls.clone())

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as text (for spawned workers), since operations hold functions."""
        if self.origin is None or self.builder is None:
            raise TypeError("a pipeline built directly from stages cannot be pickled; build it with augury.pipeline(...)")
        return _rebuilt, (self.builder, self.origin, self.seed, int(self._calls), plugins.used_in(self.origin))

    def _number(self, ids: Tensor) -> int | Tensor:
        """The number of calls so far."""
        there = torch.compiler.is_compiling() or self._calls.device.type != "cpu"
        return self._calls.to(ids.device, copy=True) if there else int(self._calls)


def _rebuilt(builder: Builder, origin: str, seed: int, calls: int, used: Sequence[plugins.Plugin] = ()) -> Pipeline:
    """Unpickle a pipeline, loading the plug-ins it uses."""
    plugins.restore(used)
    made = builder(origin, seed=seed)
    made._calls.fill_(calls)
    return made
