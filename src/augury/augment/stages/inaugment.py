"""The InAugment stage: pastes patches of an image, augmented by the image's own draw of a policy, back over it."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from augury.augment.forms.backends import backend
from augury.augment.forms.region import clipped
from augury.augment.geometry import patches
from augury.augment.geometry.followed import Followed, follow
from augury.augment.ops.cutout import centred
from augury.augment.resample import resize
from augury.augment.saliency.maps import SaliencyKind, map_of
from augury.augment.saliency.regions import choose, usable
from augury.augment.stages.length import Length
from augury.core.batch import Batch
from augury.core.checks import check_boxes, check_part, check_size, check_within
from augury.core.laws import Constant
from augury.core.noise import Noise
from augury.core.plan import Clock
from augury.core.stage import Domain, Stage, Trace

Where = Literal["anywhere", "salient"]


@dataclass(frozen=True)
class InAugment:
    """Copy `patches` windows, transform them like the image, resize and paste them, the largest first.

    stages: the policy, which sees the image and every patch with the same draw (or, with `same_draw` off, each with its
    own). source: side of the window, as a share of the image's shorter side or in pixels, per patch. target: side of the
    pasted patch likewise (None: the window's own size), per patch; scale: a factor on the trimmed window instead. trim: windows are
    centred anywhere and cut at the border, otherwise kept inside. drop: probability of not pasting, for each patch alone
    (`drop_each`) or for all at once. where: with `salient`, windows are drawn among those that hold more than the
    tau-quantile of the image's saliency, and patches are pasted on places that hold less than it; an image whose map is
    not finite is treated as with `anywhere`. saliency: the kind of map the host makes.

    The trace holds the policy's draws for the image under `image/`, for the patches under `patch/`, and box int64
    [B,n,4], size and corner int64 [B,n,2], on bool [B,n] of the patches.
    """

    stages: tuple[Stage, ...]
    patches: int
    source: tuple[Length, ...]
    target: tuple[Length | None, ...]
    scale: tuple[float, ...]
    trim: bool
    order: Literal["augment_first", "resize_first"]
    resample: str
    same_draw: bool
    drop: float
    drop_each: bool
    where: Where = "anywhere"
    tau: float = 0.6
    saliency: SaliencyKind = "full"
    name: str = "inaugment"
    address: str = "inaugment"
    intensive: bool = True
    domain: Domain = "pixels"

    @property
    def needs(self) -> frozenset[str]:
        own = frozenset({"saliency"}) if self.where == "salient" and self.patches else frozenset()
        return own.union(*(stage.needs for stage in self.stages))

    @property
    def mixes_labels(self) -> bool:
        return any(stage.mixes_labels for stage in self.stages)

    def sample(self, batch: Batch, noise: Noise, clock: Clock | None = None, intensity: float | Tensor = 1.0) -> Trace:
        """The policy's draw and the patches' places."""
        trace: Trace = {}
        for number, stage in enumerate(self.stages):
            found = stage.sample(batch, noise.fold(f"{stage.name}{number}"), clock, intensity)
            trace |= {f"image/{number}/{key}": part for key, part in found.items()}
        if self.patches == 0:
            return trace
        trace |= self._places(batch, noise.fold("patch"), intensity)
        for number, stage in enumerate(self.stages):
            found = self._own_draw(number, stage, batch, trace, noise, clock, intensity)
            trace |= {f"patch/{number}/{key}": part for key, part in found.items()}
        return trace

    def _own_draw(
        self, number: int, stage: Stage, batch: Batch, trace: Trace, noise: Noise, clock: Clock | None, intensity: float | Tensor
    ) -> Trace:  # fmt: skip
        """What a stage draws for the patches beyond the image's draw, [B,n,...]: everything without `same_draw`, else
        the boxes of region operations, which depend on the patch's size."""
        if self.same_draw and f"image/{number}/box" not in trace:
            return {}
        rows = self._rows(batch)
        size = (trace["size"] if self.order == "resize_first" else _side(trace["box"])).flatten(0, 1)
        pieces = Batch(batch.images[rows], None, batch.ids[rows], size=size)
        keys = noise.key[rows] if self.same_draw else _folded(noise.fold("own"), self.patches)
        found = stage.sample(pieces, Noise(keys).fold(f"{stage.name}{number}"), clock, intensity)
        wanted = {"box": found["box"]} if self.same_draw else {k: part for k, part in found.items() if k != "partner"}
        return {key: part.unflatten(0, (len(batch), self.patches)) for key, part in wanted.items()}

    def _rows(self, batch: Batch) -> Tensor:
        """int64 [B x n]: whose patch each is."""
        return torch.arange(len(batch), device=batch.images.device).repeat_interleave(self.patches)

    def _places(self, batch: Batch, noise: Noise, intensity: float | Tensor) -> Trace:
        size, count = batch.sizes(), self.patches
        u = noise.uniform(6 * count).reshape(len(batch), count, 6)
        short = size.amin(1)
        boxes, sizes, corners = [], [], []
        places = _Places(map_of(batch, self.name), size, noise, self) if self.where == "salient" else None
        for k in range(count):
            side = self.source[k].pixels(u[:, k, 0], short).clamp(min=1)
            box = self._window(u[:, k, 1:3], side, size)
            box = box if places is None else places.window(k, side, box)
            target = self._target(k, u[:, k, 3], box, short)
            centre = torch.minimum((u[:, k, 4:6] * size).to(torch.int64), size - 1)
            boxes.append(box)
            sizes.append(target)
            corner = centre - target // 2
            corners.append(corner if places is None else places.corner(k, target, corner))
        chance = noise.fold("drop").uniform(count if self.drop_each else 1).expand(-1, count)
        on = chance >= self.drop
        if isinstance(intensity, Tensor) or intensity != 1:
            on = on & (noise.fold("intensity").uniform(1) < intensity)
        stacked = torch.stack(sizes, 1)
        on = on & (stacked.amin(2) > 0)
        return {"box": torch.stack(boxes, 1), "size": stacked, "corner": torch.stack(corners, 1), "on": on}

    def _window(self, u: Tensor, side: Tensor, size: Tensor) -> Tensor:
        if self.trim:
            extent = side[:, None].expand(-1, 2)
            return clipped(centred(u, extent, size), extent, size)
        fits = torch.minimum(side[:, None], size)
        room = size - fits
        corner = torch.minimum((u * (room + 1)).to(torch.int64), room)
        return torch.cat([corner, corner + fits], 1)

    def _target(self, k: int, u: Tensor, box: Tensor, short: Tensor) -> Tensor:
        window = torch.stack([box[:, 2] - box[:, 0], box[:, 3] - box[:, 1]], 1)
        law = self.target[k]
        if law is not None:
            return law.pixels(u, short)[:, None].expand(-1, 2)
        if self.scale[k] == 1:
            return window
        return (window.double() * self.scale[k] + 1e-9).to(torch.int64)

    def apply(self, batch: Batch, trace: Trace) -> Batch:
        """Applies the policy to the image, then pastes its patches."""
        if self.patches == 0:
            done = batch
            for number, stage in enumerate(self.stages):
                done = stage.apply(done, _part(trace, f"image/{number}/"))
            return done
        run, count = backend(batch.images.device), self.patches
        height, width = batch.images.shape[-2:]
        longest = min(max(height, width), self._longest(min(height, width)))
        self._check(batch, trace, longest)
        rows, window, target = self._rows(batch), _side(trace["box"]).flatten(0, 1), trace["size"].flatten(0, 1)
        pieces = run.cut(batch.images, rows, trace["box"].flatten(0, 1), longest)
        if self.order == "resize_first":
            pieces = self._resized(pieces, window, target, height, width)
            done, pieces = self._changed(batch, pieces, target, trace)
        else:
            done, pieces = self._changed(batch, pieces, window, trace)
            pieces = self._resized(pieces, window, target, height, width)
        order = (target[:, 0] * target[:, 1]).reshape(-1, count).argsort(dim=1, descending=True, stable=True)
        pieces = pieces.unflatten(0, (len(batch), count))
        images = run.paste(done.images, pieces, trace["corner"], trace["size"], trace["on"], order)
        return done.replace(images=images, saliency=None)

    def _check(self, batch: Batch, trace: Trace, longest: int) -> None:
        """InputError if the patches' part of a trace does not fit the batch. longest: a window's side at most."""
        count, (height, width) = len(batch), batch.images.shape[-2:]
        check_size(batch)
        for name, columns in (("box", 4), ("size", 2), ("corner", 2)):
            check_part(trace, name, torch.int64, (count, self.patches, columns))
        check_part(trace, "on", torch.bool, (count, self.patches))
        check_boxes(trace["box"], "trace: box", (count, self.patches, 4), height, width)
        check_within(_side(trace["box"]), 0, longest, f"trace: box may be {longest} pixels long at most")
        most = longest if self._as_cut else self._side(min(height, width))
        check_within(trace["size"], 0, most, "trace: size must be one that this stage draws")

    def follow(self, followed: Followed, trace: Trace) -> Followed:
        """Masks go through all that the image goes through, patches included. Raises InputError for what cannot follow."""
        if self.patches:
            followed.refuse_coordinates(self.name, "shows a part of the image twice")
        done = self._followed(followed, [_part(trace, f"image/{number}/") for number in range(len(self.stages))])
        if not self.patches or followed.sources is None:
            return done
        height, width, short = followed.height, followed.width, min(followed.height, followed.width)
        rows = torch.arange(len(followed.size), device=followed.size.device).repeat_interleave(self.patches)
        target = trace["size"].flatten(0, 1)
        side, drawn = self._side(short), [self._piece_trace(number, trace) for number in range(len(self.stages))]
        pieces = patches.cut(followed, rows, trace["box"].flatten(0, 1), min(max(height, width), self._longest(short)))
        if self.order == "resize_first":
            pieces = self._followed(patches.resized(pieces, target, side), drawn)
        else:
            pieces = patches.resized(self._followed(pieces, drawn), target, side)
        order = (target[:, 0] * target[:, 1]).reshape(-1, self.patches).argsort(dim=1, descending=True, stable=True)
        return patches.pasted(done, pieces, trace["corner"], trace["on"], order)

    def _followed(self, followed: Followed, traces: list[Trace]) -> Followed:
        for stage, own in zip(self.stages, traces, strict=True):
            followed = follow(stage, followed, own)
        return followed

    def _changed(self, batch: Batch, pieces: Tensor, size: Tensor, trace: Trace) -> tuple[Batch, Tensor]:
        """The image and its pieces through the policy, in one pass where both have one canvas."""
        images = len(batch)
        together = batch.images.shape[1:] == pieces.shape[1:]
        ids = batch.ids[self._rows(batch)]
        other = Batch(pieces, None, ids, size=size)
        both = (
            Batch(torch.cat([batch.images, pieces]), None, torch.cat([batch.ids, ids]), size=torch.cat([batch.sizes(), size]))
            if together
            else None
        )
        for number, stage in enumerate(self.stages):
            own, drawn = _part(trace, f"image/{number}/"), self._piece_trace(number, trace)
            if both is None:
                other = stage.apply(other, drawn)
            else:
                drawn = {key: part + images if key == "partner" else part for key, part in drawn.items()}
                both = stage.apply(both, {key: torch.cat([part, drawn[key]]) for key, part in own.items()})
            if both is None or stage.mixes_labels:
                batch = stage.apply(batch, own)
        if both is None:
            return batch, other.images
        return batch.replace(images=both.images[:images]), both.images[images:]

    def _piece_trace(self, number: int, trace: Trace) -> Trace:
        """The draw of the pieces, [B x n, ...]: the image's, but for what was drawn for them alone."""
        count = self.patches
        image = _part(trace, f"image/{number}/")
        shared = {key: part.repeat_interleave(count, 0) for key, part in image.items()}
        if "partner" in shared:  # the partner image's piece of the same number
            piece = torch.arange(count, device=shared["partner"].device).repeat(len(image["partner"]))
            shared["partner"] = shared["partner"] * count + piece[:, None]
        return shared | {key: part.flatten(0, 1) for key, part in _part(trace, f"patch/{number}/").items()}

    def _resized(self, pieces: Tensor, window: Tensor, target: Tensor, height: int, width: int) -> Tensor:
        if self._as_cut:
            return pieces
        short = min(height, width)
        side = self._side(short)
        shrink = max(_shrink(law, scale, src, short) for law, scale, src in zip(self.target, self.scale, self.source, strict=True))
        return resize(pieces, window, target, side, self.resample, shrink)

    def _side(self, short: int) -> int:
        """The largest side of a pasted patch, in pixels."""
        each = zip(self.target, self.scale, self.source, strict=True)
        return max(1, math.ceil(max(_largest(law, scale, source, short) for law, scale, source in each)))

    @property
    def _as_cut(self) -> bool:
        """Whether patches keep the size of their windows."""
        return all(law is None for law in self.target) and all(scale == 1 for scale in self.scale)

    def _longest(self, short: int) -> int:
        return max(1, math.ceil(max(law.most(short) for law in self.source)))

    def repeat(self, noise: Noise) -> Noise:
        return noise

    def describe(self, trace: Trace, row: int) -> str:
        """In words: the policy's draw, then each pasted patch by its size."""
        words = [stage.describe(_part(trace, f"image/{number}/"), row) for number, stage in enumerate(self.stages)]
        for k in range(self.patches):
            if bool(trace["on"][row, k]):
                height, width = trace["size"][row, k].tolist()
                words.append(f"patch {height}x{width}")
        return ", ".join(word for word in words if word)


@dataclass(frozen=True)
class _Places:
    """Where salient windows are copied from and where they cover little; for a map that is not finite, the plain places."""

    saliency: Tensor
    size: Tensor
    noise: Noise
    stage: InAugment

    def window(self, patch: int, side: Tensor, plain: Tensor) -> Tensor:
        found = choose(
            self.saliency, side, side, self.size, self._pick("window", patch), tau=self.stage.tau, salient=True,
            candidates="centred" if self.stage.trim else "inside",
        )  # fmt: skip
        return torch.where(usable(self.saliency)[:, None], found.box, plain)

    def corner(self, patch: int, target: Tensor, plain: Tensor) -> Tensor:
        found = choose(
            self.saliency, target[:, 0], target[:, 1], self.size, self._pick("place", patch), tau=self.stage.tau, salient=False,
            candidates="centred",
        )  # fmt: skip
        return torch.where(usable(self.saliency)[:, None], found.corner, plain)

    def _pick(self, name: str, patch: int) -> Tensor:
        return (self.noise.fold(f"salient {name}{patch}").bits(1)[:, 0] >> 32) & 0xFFFFFFFF


def _part(trace: Trace, prefix: str) -> Trace:
    return {key.removeprefix(prefix): part for key, part in trace.items() if key.startswith(prefix)}


def _side(box: Tensor) -> Tensor:
    """Rows and columns of boxes [..., 4]."""
    return torch.stack([box[..., 2] - box[..., 0], box[..., 3] - box[..., 1]], -1)


def _folded(noise: Noise, count: int) -> Tensor:
    """Keys int64 [B x count]: one noise per image and patch."""
    return torch.stack([noise.fold(k).key for k in range(count)], 1).flatten()


def _largest(law: Length | None, scale: float, source: Length, short: int) -> float:
    return law.most(short) if law is not None else scale * source.most(short)


def _shrink(law: Length | None, scale: float, source: Length, short: int) -> float:
    """At most how many times longer a window is than what is made of it."""
    if law is None:
        return 2 / scale if scale < 1 else 1.0  # a window of odd length may round down by half a pixel
    least = law.least(short)
    smallest = max(1.0, least if isinstance(law.law, Constant) else round(least))
    return max(1.0, source.most(short) / smallest)
