"""KeepStage: wraps stages so that the image's important regions are preserved."""

from dataclasses import dataclass

import torch
from torch import Tensor

from augury.augment.forms.region import Content, inside
from augury.augment.geometry.followed import Followed, follow
from augury.augment.saliency.maps import SaliencyKind, map_of
from augury.augment.saliency.regions import Map, Placing, choose, usable
from augury.augment.stages.plan import PlanStage
from augury.core.batch import Batch
from augury.core.checks import check_boxes, check_part
from augury.core.devices import constant
from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.op import Candidates, Op
from augury.core.plan import Clock
from augury.core.stage import Domain, Stage, Trace
from augury.core.targets import Targets

_BOXES = frozenset({Content.NONE, Content.CONSTANT, Content.PARTNER, Content.NOISE})


def cutting(stages: tuple[Stage, ...]) -> PlanStage | None:
    """The stage, where it is a single one that only fills boxes, so that the box can be placed where little is lost."""
    if len(stages) == 1 and isinstance(stage := stages[0], PlanStage) and stage.forms == {"region"} and stage.contents <= _BOXES:
        return stage
    return None


@dataclass(frozen=True)
class KeepStage:
    """`stages` with the image's salient regions preserved (Gong et al. 2021, KeepAugment, algorithm 1).

    A region operation is wrapped by selective-cut: its box keeps the drawn size and is placed among the candidates with less
    saliency than the tau-quantile. Anything else is wrapped by selective-paste: a box of the original image, drawn among those
    above the quantile, is pasted back over the result at the same position. The box is in the trace, so that a replay needs
    neither model nor map.

    The wrapped stages draw what they would draw unwrapped, so that p = 0 is exactly the plain method. Images whose map is not
    finite also get the plain method.

    candidates: the boxes that are chosen from: the law of place of the operation itself (`own`: cutout's and cutmix's are
    centred on any pixel and clipped at the border, random erasing's and the pasted square lie inside), or one for all.
    map: the image's own, or for a control that of another image of the batch (`foreign`), or a map that says nothing
    (`constant`, which needs no network): what keeping gains without looking at the image.
    length: the pasted square's side in pixels; None takes `fraction` of the shorter side. p: the chance that an image is
    kept. every: the host makes a map in every so many steps only; between them images are treated plainly.

    Labels follow pixels: where a stage inside mixes samples, the pasted square gives its area back to the image's own label.
    Raises InputError for stages of which that cannot be said: more than one mix, and operations that move mixed pixels.
    """

    stages: tuple[Stage, ...]
    tau: float = 0.6
    saliency: SaliencyKind = "full"
    candidates: Placing = "own"
    map: Map = "own"
    length: int | None = None
    fraction: float = 0.5
    p: float = 1.0
    every: int = 1

    def __post_init__(self) -> None:
        if not self.cuts:
            _check_mixes(self.stages, self.name)

    @property
    def name(self) -> str:
        return f"keep({self.address})"

    @property
    def address(self) -> str:
        """The name under which noise is drawn: the wrapped stages' own, so that they draw what they draw alone."""
        return "+".join(stage.address for stage in self.stages)

    @property
    def cuts(self) -> bool:
        """Whether it is selective-cut, not selective-paste."""
        return cutting(self.stages) is not None

    @property
    def cutting(self) -> PlanStage | None:
        """The stage that fills the boxes, where it only places a cut: it applies the trace."""
        return cutting(self.stages)

    @property
    def intensive(self) -> bool:
        return any(stage.intensive for stage in self.stages)

    @property
    def domain(self) -> Domain:
        return "any" if all(stage.domain == "any" for stage in self.stages) else "pixels"

    @property
    def needs(self) -> frozenset[str]:
        own = frozenset({"saliency"}) if self.p > 0 and self.map != "constant" else frozenset()
        return own.union(*(stage.needs for stage in self.stages))

    @property
    def mixes_labels(self) -> bool:
        return any(stage.mixes_labels for stage in self.stages)

    def sample(self, batch: Batch, noise: Noise, clock: Clock | None = None, intensity: float | Tensor = 1.0) -> Trace:
        """All choices, including the box. Raises InputError if the batch has no saliency map."""
        if len(self.stages) == 1:
            traces = [self.stages[0].sample(batch, noise, clock, intensity)]
        else:
            each = enumerate(self.stages)
            traces = [s.sample(batch, noise.fold(f"{s.name}{number}"), clock, intensity) for number, s in each]
        if self.p == 0:
            keep = torch.zeros(len(batch), dtype=torch.bool, device=batch.images.device)
            chosen = _Chooser(self, torch.zeros_like(batch.images[:, 0], dtype=torch.float32), keep, noise)
        else:
            map_ = self._map(batch, noise)
            gate = noise.fold("keep").uniform(1)[:, 0] < self.p
            chosen = _Chooser(self, map_, gate & usable(map_), noise)
        if (stage := cutting(self.stages)) is not None:
            return self._placed(stage, traces[0], batch, chosen)
        side = self._paste_extent(batch.sizes())
        plain = torch.zeros(len(batch), 4, dtype=torch.int64, device=side.device)
        box = chosen.box("paste", side, side, batch.sizes(), plain, self.candidates_of(None))
        return {f"{number}.{key}": part for number, trace in enumerate(traces) for key, part in trace.items()} | {"box": box}

    def apply(self, batch: Batch, trace: Trace) -> Batch:
        """The batch after the traced choices; a pure function of both."""
        if self.cuts:
            return self.stages[0].apply(batch, trace)
        check_part(trace, "box", torch.int64, (len(batch), 4))
        check_boxes(trace["box"], "trace: box", (len(batch), 4), *batch.images.shape[-2:])
        done = batch
        for number, stage in enumerate(self.stages):
            done = stage.apply(done, self._part(trace, number))
        if done.images.shape != batch.images.shape:
            raise InputError(f"{self.name}: the images come out in another size, so nothing can be pasted back; wrap less")
        mask = inside(trace["box"], *batch.images.shape[-2:])[:, None]
        return done.replace(images=torch.where(mask, batch.images, done.images), targets=self._labels(batch, done, trace))

    def follow(self, followed: Followed, trace: Trace) -> Followed:
        """What the stages inside did; a pasted box shows again what it showed before. Raises InputError for what cannot follow."""
        done = followed
        for number, stage in enumerate(self.stages):
            done = follow(stage, done, trace if self.cuts else self._part(trace, number))
        if self.cuts:
            return done
        if len(done.moves or ()) > len(followed.moves or ()):
            done.refuse_coordinates(self.name, "pastes a part of the image back to where it was")
        return done.restored(inside(trace["box"], followed.height, followed.width), followed)

    def _labels(self, batch: Batch, done: Batch, trace: Trace) -> Targets | None:
        """What the stages made of the labels, and where they mixed them, by the shares of the pixels after pasting."""
        number = next((k for k, stage in enumerate(self.stages) if stage.mixes_labels), None)
        if batch.targets is None or number is None:
            return done.targets
        stage, own = self.stages[number], self._part(trace, number)
        assert isinstance(stage, PlanStage)
        return batch.targets.mix(own["partner"][:, 0], stage.kept(own, batch.sizes(), trace["box"]))

    def candidates_of(self, op: Op | None) -> Candidates:
        """The boxes that are chosen from: for an operation that cuts, or for the square that is pasted (None)."""
        if self.candidates != "own":
            return self.candidates
        return "inside" if op is None else op.candidates

    def _map(self, batch: Batch, noise: Noise) -> Tensor:
        """float [B,H,W]: the map that boxes are chosen by."""
        if self.map == "constant":
            return torch.ones_like(batch.images[:, 0], dtype=torch.float32)
        own = map_of(batch, self.name)
        return own if self.map == "own" else own[noise.fold("foreign map").partners()]

    def repeat(self, noise: Noise) -> Noise:
        return noise

    def describe(self, trace: Trace, row: int) -> str:
        """What was drawn for one row, in words."""
        if self.cuts:
            words = self.stages[0].describe(trace, row)
            return f"{words} where little is lost" if words else words
        parts = (stage.describe(self._part(trace, number), row) for number, stage in enumerate(self.stages))
        top, left, bottom, right = trace["box"][row].tolist()
        kept = f"kept {bottom - top}x{right - left}" if bottom > top and right > left else ""
        return ", ".join(word for word in (*parts, kept) if word)

    def _part(self, trace: Trace, number: int) -> Trace:
        start = f"{number}."
        return {key.removeprefix(start): part for key, part in trace.items() if key.startswith(start)}

    def _placed(self, stage: PlanStage, trace: Trace, batch: Batch, chosen: "_Chooser") -> Trace:
        """The trace of a region stage with its boxes moved."""
        size = batch.sizes()
        boxes = trace["box"].clone()
        for slot in range(stage.policy.slots):
            height, width = _cut_extent(stage, trace, slot, size).unbind(1)
            laws = [self.candidates_of(entry.op) for entry in stage.space.entries]
            box = chosen.box(f"cut{slot}", height, width, size, boxes[:, slot], laws[0])
            for law in sorted({*laws} - {laws[0]}):
                other = chosen.box(f"cut{slot}", height, width, size, boxes[:, slot], law)
                of = constant(tuple(each == law for each in laws), torch.bool, size.device)[trace["op"][:, slot]]
                box = torch.where(of[:, None], other, box)
            boxes[:, slot] = torch.where(trace["on"][:, slot, None], box, boxes[:, slot])
        return {**trace, "box": boxes}

    def _paste_extent(self, size: Tensor) -> Tensor:
        """The side of the pasted square, int64 [B]."""
        side = size.amin(1)
        return (side * self.fraction).to(torch.int64) if self.length is None else torch.full_like(side, self.length)

    def extent(self, batch: Batch, trace: Trace) -> tuple[Tensor, Tensor]:
        """Height and width of the box that was to be placed (the first slot's), int64 [B]; 0 where none was cut."""
        stage = cutting(self.stages)
        if stage is None:
            side = self._paste_extent(batch.sizes())
            return side, side
        height, width = (_cut_extent(stage, trace, 0, batch.sizes()) * trace["on"][:, :1]).unbind(1)
        return height, width


@dataclass(frozen=True)
class _Chooser:
    """Draws boxes for the rows in `keep`; the others take the plain method's."""

    stage: KeepStage
    saliency: Tensor
    keep: Tensor
    noise: Noise

    def box(
        self, name: str, height: Tensor, width: Tensor, size: Tensor, plain: Tensor, candidates: Candidates
    ) -> Tensor:  # fmt: skip
        pick = (self.noise.fold(f"keep {name}").bits(1)[:, 0] >> 32) & 0xFFFFFFFF
        found = choose(
            self.saliency, height, width, size, pick,
            tau=self.stage.tau, salient=not name.startswith("cut"), candidates=candidates,
        )  # fmt: skip
        return torch.where(self.keep[:, None], found.box, plain)


def _cut_extent(stage: PlanStage, trace: Trace, slot: int, size: Tensor) -> Tensor:
    """Rows and columns that the operation of a slot drew, int64 [B,2]."""
    extent = torch.zeros_like(size)
    for index, entry in enumerate(stage.space.entries):
        values = {name: trace["value"][:, slot, k] for k, name in enumerate(entry.op.parameters)}
        assert entry.op.shape is not None
        extent = torch.where(trace["op"][:, slot, None] == index, entry.op.shape(values, size), extent)
    return extent


def _check_mixes(stages: tuple[Stage, ...], name: str) -> None:
    """Refuses stages after which nobody can say whose pixels the pasted square replaces."""
    mixing = [number for number, stage in enumerate(stages) if stage.mixes_labels]
    if not mixing:
        return
    stage = stages[mixing[0]]
    if len(mixing) > 1 or not isinstance(stage, PlanStage) or stage.policy.slots > 1:
        raise InputError(f"{name}: labels cannot follow the pixels of several mixes under a pasted box; wrap all but the mixes")
    for later in stages[mixing[0] + 1 :]:
        still = isinstance(later, PlanStage) and not later.forms & {"warp", "separable", "map"}
        if not still:
            raise InputError(
                f"{name}: {later.name} would move the pixels that {stage.name} has mixed, and labels could not follow; "
                f"put {stage.name} last"
            )
