"""Pipeline: stages in order, on a batch with addresses or on plain images."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import get_worker_info

from augury.augment.pil import from_pil, to_pil
from augury.augment.stage import Trace
from augury.core.batch import Batch
from augury.core.devices import is_host
from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.plan import Clock
from augury.core.targets import Targets

Fill = Callable[[Batch], Batch]


@dataclass
class Pipeline:
    """An augmentation: `run` draws and applies, `apply` replays, a call takes plain images.

    >>> import augury
    >>> images = torch.zeros(4, 3, 32, 32, dtype=torch.uint8)
    >>> augury.pipeline("randaugment", num_ops=2, magnitude=9)(images).shape
    torch.Size([4, 3, 32, 32])
    """

    stages: tuple[Any, ...]
    seed: int = 0
    origin: str | None = None
    _calls: int = field(default=0, repr=False)

    def run(
        self,
        batch: Batch,
        noise: Noise,
        *,
        fill: Fill | None = None,
        intensity: float | Tensor = 1.0,
        refined: bool = False,
        clock: Clock | None = None,
    ) -> tuple[Batch, list[Trace | None]]:
        """The augmented batch and its trace, one entry per stage (None: switched off by refinement).

        fill: called just before the first stage that needs saliency. intensity in [0,1]: the chance with which intensive
        stages fire at all. refined: intensive stages are off.
        """
        if not len(batch.ids) == len(noise) == len(batch):
            raise InputError(f"batch: {len(batch)} images, {len(batch.ids)} ids and noise for {len(noise)}; one of each per image")
        traces: list[Trace | None] = []
        for number, stage in enumerate(self.stages):
            if refined and stage.intensive:
                traces.append(None)
                continue
            if fill is not None and "saliency" in stage.needs and batch.saliency is None:
                batch = fill(batch)
            share = intensity if stage.intensive else 1.0
            if stage.domain == "pixels" and batch.images.dtype != torch.uint8:
                raise InputError(
                    f"images: {stage.name} takes uint8 pixels in a Batch, got {batch.images.dtype}; augment before normalising"
                )
            address = getattr(stage, "address", stage.name)
            trace = stage.sample(batch, noise.fold(f"{address}{number}"), clock, share)
            batch = stage.apply(batch, trace)
            if len(batch) != len(noise):
                noise = stage.repeat(noise)
                batch = batch if batch.key is None else batch.replace(key=noise.key)
            traces.append(trace)
        return batch, traces

    def apply(self, batch: Batch, traces: list[Trace | None]) -> Batch:
        """The same augmentation again, from its trace: no noise and no model are needed."""
        for stage, trace in zip(self.stages, traces, strict=True):
            if trace is not None:
                batch = stage.apply(batch, trace)
        return batch

    def __repr__(self) -> str:
        what = self.origin or "+".join(stage.name for stage in self.stages)
        return f"Pipeline({what!r}, seed={self.seed})"

    @property
    def mixes(self) -> bool:
        """Whether samples are mixed, so that labels become `Targets`."""
        return any(stage.mixes_labels for stage in self.stages)

    def describe(self, traces: list[Trace | None], row: int) -> str:
        """What was drawn for one row of a batch, in words."""
        words = (stage.describe(t, row) for stage, t in zip(self.stages, traces, strict=True) if t is not None)
        return ", ".join(w for w in words if w)

    def __call__(self, images: Any, labels: Any = None, *, classes: int | None = None) -> Any:
        """Augment plain images: a PIL image, [C,H,W] or [B,C,H,W]; uint8, or float in [0,1] (quantised to 8 bits).

        Returns what it was given: the same kind, shape and dtype. With `labels` (class indices or soft labels) returns
        (images, labels); the labels come back unchanged unless a stage mixes samples, then as `Targets` (give `classes`
        where the batch may lack the highest one). Every call draws anew; inside a DataLoader worker the draws follow
        that worker's seed. Raises InputError for a wrong shape, dtype or range.
        """
        if isinstance(images, Batch):
            return self.run(images, Noise.of(self._seed(), images.ids, visits=images.visits))[0]
        if isinstance(images, Image.Image):
            done = self(from_pil(images), labels, classes=classes)
            return to_pil(done) if labels is None else (to_pil(done[0]), done[1])
        pixels, restore = as_pixels(images)
        if self.mixes and images.ndim == 3:
            raise InputError("images: this pipeline mixes samples and needs a batch; put it after batching")
        targets = None if labels is None else targets_of(labels, images.ndim == 3, len(pixels), classes)
        if self.mixes and targets is None:
            raise InputError("labels: this pipeline mixes samples, so call it as pipeline(images, labels)")
        ids = torch.arange(len(pixels), device=pixels.device)
        noise = Noise.of(self._seed(), ids, epoch=self._number(ids))
        self._calls += 1
        batch, _ = self.run(Batch(pixels, targets, ids), noise)
        out = restore(batch.images)
        if labels is None:
            return out
        copies = len(batch) // max(1, len(pixels))
        if copies > 1 and not self.mixes:
            labels = torch.as_tensor(labels).repeat(copies, *[1] * (torch.as_tensor(labels).ndim - 1))
        return out, batch.targets if self.mixes else labels

    def __deepcopy__(self, memo: dict[int, Any]) -> "Pipeline":
        """Stages that learn are copied with those who share them; a copy of a network keeps a copy of its pipeline."""
        return Pipeline(copy.deepcopy(self.stages, memo), self.seed, self.origin, self._calls)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by its names (for workers started by spawn), since operations hold functions."""
        if self.origin is None:
            raise TypeError("a pipeline of stages put together by hand cannot be pickled; make it by augury.pipeline(...)")
        return _unpickled, (self.origin, self.seed, self._calls)

    def _seed(self) -> int:
        """The pipeline's seed; in a DataLoader worker also that worker's, or all workers would draw the same."""
        worker = _worker_seed()
        return self.seed if worker is None else self.seed * 1_000_003 + worker

    def _number(self, ids: Tensor) -> int | Tensor:
        """How many calls there were. A compiled graph is given it as a tensor, or it would be compiled for every number."""
        if torch.compiler.is_compiling():
            return torch.full((), self._calls, dtype=torch.int64, device=ids.device)
        return self._calls


@torch.compiler.assume_constant_result
def _worker_seed() -> int | None:
    """The seed of the DataLoader worker that this process is."""
    worker = get_worker_info()
    return None if worker is None else worker.seed


def _unpickled(origin: str, seed: int, calls: int) -> Pipeline:
    from augury.augment.build import pipeline

    made = pipeline(origin, seed=seed)
    made._calls = calls
    return made


def targets_of(labels: Any, single: bool, count: int, classes: int | None) -> Targets:
    """The labels of `count` images (of one image without a batch dimension where `single`), checked."""
    try:
        tensor = torch.as_tensor(labels)
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"labels: expected class indices or soft labels, got {type(labels).__name__}") from None
    targets = Targets.of(tensor[None] if single else tensor, classes)
    if len(targets) != count:
        raise InputError(f"labels: {len(targets)} labels for {count} images")
    return targets


def as_pixels(images: Any) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """uint8 [B,C,H,W] and the way back to what was given."""
    if not isinstance(images, Tensor):
        raise InputError(f"images: expected a tensor or a PIL image, got {type(images).__name__}")
    if images.ndim not in (3, 4) or images.shape[-3] not in (1, 3):
        raise InputError(f"images: expected [B,C,H,W] or [C,H,W] with 1 or 3 channels, got {list(images.shape)}")
    batched = images if images.ndim == 4 else images[None]

    def shape(result: Tensor) -> Tensor:
        return result if images.ndim == 4 else result[0]

    if images.dtype == torch.uint8:
        return batched, shape
    if not images.is_floating_point():
        raise InputError(f"images: expected uint8, or float in [0, 1]; got {images.dtype}")
    check_range(batched)
    # In float32 at least: bfloat16 rounds 255.5 to 256, which is no uint8.
    wide = batched if batched.dtype == torch.float64 else batched.float()
    return (wide * 255 + 0.5).to(torch.uint8), lambda result: shape(result.to(images.dtype) / 255)


def check_range(images: Tensor) -> None:
    """Refuse floats outside [0, 1], normalised images above all: clamping them would destroy them silently.

    On the CPU InputError; on a GPU an asynchronous device assertion, which does not stall the stream, and in a compiled graph an
    assertion that does not break it.
    """
    good = ((images >= 0) & (images <= 1)).all()
    message = "images: float pixels must lie in [0, 1]; augment before normalising, or pass uint8"
    if not is_host(images.device):
        torch._assert_async(good, message)
    elif not bool(good):
        raise InputError(message + (" (NaN found)" if bool(images.isnan().any()) else ""))
