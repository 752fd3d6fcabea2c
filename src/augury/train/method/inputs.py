"""Checks the arguments of a method's call and turns them into the streams of a step."""

import warnings
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from augury.augment.inputs import MOST_CHANNELS
from augury.core.batch import Batch
from augury.core.devices import as_tensor, augments
from augury.core.errors import InputError
from augury.core.processes import process_rank
from augury.core.registry import unknown
from augury.core.target_kind import TargetKind
from augury.core.targets import Targets
from augury.train.method.views import Source, belonging
from augury.train.strategies.strategy import Strategy

_RANK = 40  # bits below a process's rank in the ids that replace missing ones


class Inputs:
    """Turns plain tensors into sources. Counts, within an epoch, the images without ids and how often each id was seen."""

    def __init__(self, name: str, strategy: Strategy, classes: int, image_range: tuple[float, float] | None) -> None:
        self.name, self.strategy, self.classes, self.image_range = name, strategy, classes, image_range
        self.start_epoch()
        self._warned: set[str] = set()

    def start_epoch(self) -> None:
        """Reset the counts."""
        self.passed: dict[str, int] = {}
        self.seen: dict[str, Tensor] = {}

    def sources(
        self, images: Tensor, labels: Tensor | None, ids: Tensor | None, visits: Tensor | None, groups: Tensor | None,
        streams: Mapping[str, Tensor | tuple[Tensor, Tensor]],
    ) -> dict[str, Source]:  # fmt: skip
        """The sources of a step; InputError for missing or unknown arguments, and for wrong shapes or types."""
        self._check_streams(streams)
        images = self._pixels(images, "images")
        count, device = len(images), images.device
        found_ids = self._ids(ids, count, device, "train")
        again = self._visits(found_ids, ids, visits, "train")
        batch = Batch(images, self._targets(labels, images), found_ids, visits=again, groups=self._groups(groups, count, device))
        sources: dict[str, Source] = {"train": partial(_same, batch)}
        for name, given in streams.items():
            made = self._stream(name, given, batch)
            sources[name] = partial(_same, made)
        return sources

    def state_dict(self) -> dict[str, Any]:
        return {"passed": dict(self.passed), "seen": dict(self.seen)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.passed, self.seen = dict(state["passed"]), dict(state["seen"])

    def _check_streams(self, streams: Mapping[str, object]) -> None:
        wanted = [name for name in self.strategy.streams if name != "train"]
        for name in streams:
            if name not in wanted:
                words = unknown(f"stream of {self.name}", name, wanted) if wanted else f"{self.name} reads no stream {name!r}"
                raise InputError(f"method: {words}")
        for name in wanted:
            if streams.get(name) is None:
                given = "(images, ids)" if name == "unlabelled" else "images, uint8 [B,K,C,H,W],"
                raise InputError(
                    f"method: {self.name} needs {name} images; call method(images, labels, ids=ids, {name}=...) with {given}"
                )

    def _pixels(self, images: Tensor, where: str) -> Tensor:
        """uint8 [B,C,H,W] (or [B,K,C,H,W])."""
        if not isinstance(images, Tensor) or images.ndim not in (4, 5) or not 1 <= images.shape[-3] <= MOST_CHANNELS:
            found = f"{list(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
            raise InputError(f"method: {where}: expected a tensor [B,C,H,W] with 1 to {MOST_CHANNELS} channels, got {found}")
        if not augments(images.device):
            self._say(
                "device",
                f"method: {where} are on {images.device} but are augmented on the CPU; leave them on the CPU to spare a copy",
            )
            images = images.cpu()
        if images.dtype == torch.uint8:
            return images
        if not images.is_floating_point() or self.image_range is None:
            raise InputError(
                f"method: {where} are {images.dtype}; give uint8, or say what their values mean: "
                "augury.method(..., image_range=(0, 1))"
            )
        low, high = self.image_range
        scaled = (images.float() - low) * (255 / (high - low))
        if images.device.type == "cpu" and images.numel() and not bool(((scaled > -0.5) & (scaled < 255.5)).all()):
            raise InputError(
                f"method: {where} lie in {float(images.min()):.3g}..{float(images.max()):.3g}, beyond "
                f"image_range=({low:g}, {high:g}); "
                "give them before normalising"
            )
        return (scaled + 0.5).clamp(0, 255).to(torch.uint8)

    def _targets(self, labels: Tensor | None, images: Tensor) -> Targets | None:
        if labels is None:
            return None
        targets = Targets.of(torch.as_tensor(labels, device=images.device), self.classes)
        if targets.kind is TargetKind.SEVERAL and not self.strategy.several_labels:
            raise InputError(f"method: {self.name} is defined for one class per image, but these have several labels; use erm")
        if len(targets) != len(images):
            raise InputError(f"method: {len(targets)} labels for {len(images)} images")
        return targets

    def _groups(self, groups: Tensor | None, count: int, device: torch.device) -> Tensor | None:
        if groups is None:
            if self.strategy.needs_groups:
                raise InputError(f"method: {self.name} needs every image's group; call method(images, labels, groups=groups)")
            return None
        return _whole(groups, count, device, "groups")

    def _stream(self, name: str, given: Tensor | tuple[Tensor, Tensor], batch: Batch) -> Batch:
        pixels, ids = given if isinstance(given, tuple | list) else (given, None)
        pixels = self._pixels(pixels, name)
        if pixels.ndim == 5:
            if len(pixels) != len(batch):
                raise InputError(f"method: {name}: images for {len(pixels)} rows, but the batch has {len(batch)}")
            return belonging(pixels, batch.ids, batch.visits)
        found = self._ids(ids, len(pixels), pixels.device, name)
        return Batch(pixels, None, found, visits=self._visits(found, ids, None, name))

    def _ids(self, ids: Tensor | None, count: int, device: torch.device, stream: str) -> Tensor:
        """The ids given; otherwise numbers that are unique within the epoch, over all processes."""
        if ids is not None:
            return _whole(ids, count, device, "ids")
        self._say(
            "ids",
            f"method: without ids, draws of {self.name} depend on the order and size of batches and on the process; "
            "wrap the data set in augury.with_ids and pass ids",
        )
        first = self.passed.get(stream, 0) + (process_rank() << _RANK)
        self.passed[stream] = self.passed.get(stream, 0) + count
        return torch.arange(first, first + count, device=device)

    def _visits(self, ids: Tensor, given: Tensor | None, visits: Tensor | None, stream: str) -> Tensor:
        """How often each id was seen before in this epoch, so that a repeated image gets new draws."""
        if visits is not None:
            return _whole(visits, len(ids), ids.device, "visits")
        if given is None or given.device.type != "cpu" or not len(ids):
            return torch.zeros_like(ids)
        own = given.to(torch.int64)
        largest, seen = int(own.max()), self.seen.get(stream, torch.zeros(0, dtype=torch.int16, device="cpu"))
        if largest > 2**28 or int(own.min()) < 0:
            self._say("visits", "method: ids beyond 2^28 are not counted; if one occurs twice in an epoch, pass visits as well")
            return torch.zeros_like(ids)
        if largest >= len(seen):
            seen = torch.cat([seen, torch.zeros(max(largest + 1, 2 * len(seen)) - len(seen), dtype=torch.int16, device="cpu")])
        before = seen[own].to(torch.int64)
        order = torch.argsort(own, stable=True)
        same = own[order]
        if bool((same[1:] == same[:-1]).any()):  # an id occurs twice in this batch
            place = torch.arange(len(own), device="cpu")
            starts = torch.cat([torch.ones(1, dtype=torch.bool, device="cpu"), same[1:] != same[:-1]])
            before[order] += place - torch.where(starts, place, 0).cummax(0).values
        self.seen[stream] = seen.index_add_(0, own, torch.ones(len(own), dtype=torch.int16, device="cpu"))
        return before.to(ids.device)

    def _say(self, key: str, words: str) -> None:
        """Warn, once per key."""
        if key not in self._warned:
            self._warned.add(key)
            warnings.warn(words, UserWarning, stacklevel=6)


def _same(batch: Batch) -> Batch:
    return batch


def _whole(given: Tensor, count: int, device: torch.device, name: str) -> Tensor:
    value = as_tensor(given)
    if value.shape != (count,) or value.is_floating_point() or value.dtype == torch.bool:
        raise InputError(f"method: {name}: expected whole numbers [{count}], got {value.dtype} {list(value.shape)}")
    return value.to(device=device, dtype=torch.int64)
