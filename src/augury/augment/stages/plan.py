"""PlanStage: a policy's plan, drawn for every image of a batch and applied in a constant number of passes.

A single operation is the same stage with a policy of one entry, so that there is only one path from a draw to pixels. One
operation fires per image and slot. Within a slot, the order of the forms is fixed, because it affects the result: warp, table,
blend, separable, map, region, then one mix, which reads the partner after this slot's pixel operations.
"""

from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor

from augury.augment.forms.backends import backend
from augury.augment.forms.lowered import Lowered, SubsetOp
from augury.augment.forms.region import Content, clipped, kept_share
from augury.augment.forms.separable import Kernel, taps_of
from augury.augment.geometry import records
from augury.augment.geometry.followed import Followed
from augury.augment.resample import separable
from augury.augment.stages.lowering import contents_of, lower
from augury.augment.stages.values import Numbers, values_of
from augury.core.batch import Batch
from augury.core.checks import check_size, check_trace
from augury.core.devices import constant
from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.op import Op
from augury.core.openmp import on_one_thread
from augury.core.plan import Clock, Policy, Space
from augury.core.stage import Domain, Trace
from augury.core.targets import Targets

# The policies that can leave out operations on red, green and blue.
WITHOUT_RGB = ("randaugment", "trivialaugment")


@dataclass(frozen=True)
class PlanStage:
    """A stage that draws a plan from `policy` and applies it.

    The trace holds op, strength and on [B,S], value float32 [B,S,P], box int64 [B,S,4] where regions may be drawn, and
    partner int64 [B,S] where samples are mixed: everything `apply` needs, so that a replay draws nothing.
    records: whether all it does can be written as records that a kernel executes (map operations and blurs cannot).
    remedy: how operations on red, green and blue are left out, for the refusal of images that have none.
    """

    name: str
    policy: Policy
    intensive: bool = True
    remedy: str | None = field(default=None, repr=False, compare=False)
    forms: frozenset[str] = field(init=False)
    contents: frozenset[Content] = field(init=False, repr=False)
    space: Space = field(init=False, repr=False)
    _wanted: frozenset[str] = field(init=False, repr=False, compare=False)  # `box`, `partner`: what a trace must hold
    numbers: Numbers = field(init=False, repr=False, compare=False)
    records: bool = field(init=False, repr=False, compare=False)
    mixes_labels: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        space = self.policy.space
        object.__setattr__(self, "space", space)
        object.__setattr__(self, "forms", frozenset(entry.op.form for entry in space.entries))
        object.__setattr__(self, "contents", contents_of(space))
        wanted = ({"box"} if "region" in self.forms else set()) | (self.needs & {"partner"})
        object.__setattr__(self, "_wanted", frozenset(wanted))
        object.__setattr__(self, "numbers", Numbers.of(space))
        object.__setattr__(self, "records", all(_has_record(entry.op) for entry in space.entries))
        object.__setattr__(self, "mixes_labels", any(entry.op.mixes_labels for entry in space.entries))

    @property
    def address(self) -> str:
        return self.name

    @property
    def domain(self) -> Domain:
        """`any` where every operation also takes normalised values, otherwise `pixels`."""
        return "any" if all(e.op.domain == "any" for e in self.space.entries) else "pixels"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset().union(*(e.op.needs for e in self.space.entries))

    def sample(
        self, batch: Batch, noise: Noise, clock: Clock | None = None, intensity: float | Tensor = 1.0, *, batches: int = 1
    ) -> Trace:
        """All choices of this stage for a batch, as tensors with one row per image.

        batches: the rows are those of so many batches of one size, one after the other.
        """
        self.check_channels(batch)
        return on_one_thread(self._drawn, batch, noise, clock or Clock(), intensity, batches)

    def _drawn(self, batch: Batch, noise: Noise, clock: Clock, intensity: float | Tensor, batches: int) -> Trace:
        plan = self.policy.ask(noise.fold("plan"), clock)
        space, slots = self.space, self.policy.slots
        on = plan.on
        if isinstance(intensity, Tensor) or intensity != 1:
            stays = noise.fold("intensity").uniform(slots) < intensity
            if clock.fading == "strength" and not isinstance(intensity, Tensor) and intensity > 0:
                space = space.faded(intensity)
                weakened = tuple(entry.op.faded is not None for entry in space.entries)
                stays = stays | constant(weakened, torch.bool, stays.device)[plan.op]
            on = on & stays
        u = noise.fold("values").uniform(slots * space.uniforms).reshape(len(batch), slots, space.uniforms)
        if any(entry.op.batch_wide for entry in space.entries) and len(batch):
            on, u = _batch_wide(space, noise, plan.op, on, u, batches)
        trace = {
            "op": plan.op,
            "strength": plan.strength,
            "on": on,
            "value": values_of(space, self.numbers, plan.op, plan.strength, u),
        }
        if plan.choice is not None:
            trace["choice"] = plan.choice
        if "region" in self.forms:
            trace["box"] = self._boxes(trace, u, batch.sizes())
        if "partner" in self.needs:
            trace["partner"] = torch.stack([noise.fold(f"partner{s}").partners(batches) for s in range(slots)], 1)
        return trace

    def apply(self, batch: Batch, trace: Trace) -> Batch:
        """The batch after the traced choices; a pure function of both. Raises InputError for a trace that does not fit it."""
        self.check(batch, trace)
        return self.execute(batch, trace)

    def execute(self, batch: Batch, trace: Trace, *, in_place: bool = False) -> Batch:
        """The same for a trace that this stage drew for the batch, which needs no check.

        in_place: write over the batch's images, which are contiguous, if all that this stage does is to paint boxes.
        """
        size = batch.sizes()
        lowered = self.lower(trace, size)
        if self.forms <= {"warp", "table", "blend"}:
            images, targets = backend(batch.images.device).pixels(batch.images, lowered, size), batch.targets
        else:
            for slot in range(self.policy.slots):
                column = {name: part[:, slot] for name, part in trace.items() if name in ("box", "partner")}
                batch = self._slot(batch, lowered.slot(slot), column, size, in_place and self.paints)
            images, targets = batch.images, batch.targets
        return batch.replace(images=images, targets=targets, saliency=None if self.moves else batch.saliency)

    def check(self, batch: Batch, trace: Trace) -> None:
        """Raises InputError naming the entry of a trace, or the batch's `size`, which does not fit the batch's images."""
        self.check_channels(batch)
        check_size(batch)
        check_trace(trace, batch, self.policy.slots, self.space, self._wanted)

    def check_channels(self, batch: Batch) -> None:
        """Raises InputError naming the operations that do not take images of so many channels."""
        channels, rgb = batch.images.shape[1], self.space.rgb
        if not rgb or channels in (1, 3):
            return
        policy = "randaugment" if self.name not in WITHOUT_RGB else self.name
        leaving = f"{policy}(channels=any) leaves such operations out" if rgb != (self.name,) else "leave it out"
        raise InputError(
            f"{self.name}: {' and '.join(rgb)} {'takes' if len(rgb) == 1 else 'take'} grey images or red, green and "
            f"blue, and these have {channels} channels; {self.remedy or leaving}"
        )

    def follow(self, followed: Followed, trace: Trace) -> Followed:
        """Where the traced choices moved pixels to. Raises InputError for operations that masks or boxes cannot follow."""
        records.check(self.space, followed)
        lowered = self.lower(trace, followed.size)
        for slot in range(self.policy.slots):
            box, partner = (trace[name][:, slot] if name in trace else None for name in ("box", "partner"))
            followed = records.follow(followed, lowered.slot(slot), box, partner)
        return followed

    @property
    def moves(self) -> bool:
        """Whether it moves pixels, so that a map of the image as it was no longer fits."""
        return bool({"warp", "map", "separable"} & self.forms)

    @property
    def joint(self) -> bool:
        """Whether it reads other images of the batch."""
        return "mix" in self.forms or Content.PARTNER in self.contents

    @property
    def paints(self) -> bool:
        """Whether all it does is to paint boxes, without reading other images."""
        return self.forms == {"region"} and not self.joint

    def lower(self, trace: Trace, size: Tensor) -> Lowered:
        """The records of a trace, for images of valid `size` int64 [B,2]."""
        return on_one_thread(lower, self.space, trace, size, self.contents)

    def mixed(self, targets: Targets | None, lowered: Lowered, column: Trace, size: Tensor) -> Targets | None:
        """The labels after a slot (`lowered` and `column` are those of the slot alone)."""
        partner = column.get("partner")
        if targets is None or partner is None or not self.mixes_labels:
            return targets
        return targets.mix(partner, _kept(lowered, column, size))

    def own_weight(self, trace: Trace, size: Tensor) -> Tensor | None:
        """float32 [B]: the weight of each image's own label after the first slot; None if labels are not mixed."""
        if "partner" not in trace or not self.mixes_labels:
            return None
        return _kept(*self._first_slot(trace, size), size)

    def _first_slot(self, trace: Trace, size: Tensor) -> tuple[Lowered, Trace]:
        """The records of the first slot, and its boxes and partners."""
        column = {name: part[:, 0] for name, part in trace.items() if name in ("box", "partner")}
        return self.lower(trace, size).slot(0), column

    def _slot(self, batch: Batch, lowered: Lowered, column: Trace, size: Tensor, in_place: bool) -> Batch:
        images = batch.images
        run = backend(images.device)
        if {"warp", "table", "blend"} & self.forms:
            images = run.pixels(images, lowered, size)
        for item in lowered.subsets[0]:
            images = _on_subset(item, images, size)
        before, partner = images, column.get("partner")
        if lowered.region is not None:
            reads = torch.arange(len(batch), device=images.device) if partner is None else partner
            images = run.regions(images, lowered, column["box"], reads, images if in_place else None)
        if lowered.mix is not None and partner is not None:
            images = run.mixed(images, before, partner, lowered.mix.weight[:, 0])
        return batch.replace(images=images, targets=self.mixed(batch.targets, lowered, column, size))

    def kept(self, trace: Trace, size: Tensor, restored: Tensor) -> Tensor:
        """float32 [B]: the weight of each image's own label after the first slot, when afterwards the pixels of the boxes
        `restored`, int64 [B,4], are put back to what they were."""
        lowered, column = self._first_slot(trace, size)
        own = _kept(lowered, column, size)
        back = 1 - kept_share(restored, size)
        if lowered.region is None:
            return own + (1 - own) * back
        both = torch.cat(
            [torch.maximum(column["box"][:, :2], restored[:, :2]), torch.minimum(column["box"][:, 2:], restored[:, 2:])], 1
        )
        cut = lowered.region.content[:, 0] == int(Content.PARTNER)
        return torch.where(cut, own + (1 - kept_share(both, size)), own + (1 - own) * back)

    def repeat(self, noise: Noise) -> Noise:
        return noise

    def describe(self, trace: Trace, row: int) -> str:
        """What was drawn for one row, in words and native units: `rotate 12.5°, invert`."""
        words = []
        for slot in range(self.policy.slots):
            if bool(trace["on"][row, slot]):
                op = self.space[int(trace["op"][row, slot])].op
                if op.form == "region":
                    top, left, bottom, right = trace["box"][row, slot].tolist()
                    words.append(f"{op.name} {max(0, bottom - top)}x{max(0, right - left)}")
                else:
                    words.append(" ".join([op.name, *_said(op, trace["value"][row, slot].tolist())]))
        return ", ".join(words)

    def _boxes(self, trace: Trace, u: Tensor, size: Tensor) -> Tensor:
        boxes = [self._slot_boxes(trace, u, size, slot) for slot in range(self.policy.slots)]
        return boxes[0][:, None] if len(boxes) == 1 else torch.stack(boxes, 1)

    def _slot_boxes(self, trace: Trace, u: Tensor, size: Tensor, slot: int) -> Tensor:
        boxes: Tensor | None = None
        for index, entry in enumerate(self.space.entries):
            op = entry.op
            if op.shape is None or op.place is None:
                continue
            count = len(op.parameters)
            values = {name: trace["value"][:, slot, k] for k, name in enumerate(op.parameters)}
            extent = op.shape(values, size)
            box = clipped(op.place(u[:, slot, count : count + 2], extent, size), extent, size)
            chosen = trace["on"][:, slot]
            if len(self.space) > 1:
                chosen = chosen & (trace["op"][:, slot] == index)
            boxes = box * chosen[:, None] if boxes is None else torch.where(chosen[:, None], box, boxes)
        return torch.zeros(len(u), 4, dtype=torch.int64, device=u.device) if boxes is None else boxes


def _said(op: Op, values: list[float]) -> list[str]:
    """The values of an operation's parameters in words, by name where there are several."""
    alone = len(op.parameters) == 1
    captions = [parameter.caption(value, alone=alone) for parameter, value in zip(op.parameters.values(), values, strict=False)]
    return [words if alone else f"{name} {words}" for name, words in zip(op.parameters, captions, strict=True) if words]


def _on_subset(item: SubsetOp, images: Tensor, size: Tensor) -> Tensor:
    """The images with an operation done to its own rows."""

    def done(chosen: Tensor, own: Tensor) -> Tensor:
        if item.op.form == "map":
            return cast(Tensor, item.op.lower(chosen, item.values, own))
        return separable(chosen, item.op.lower(item.values, own), own)

    if item.rows is None:
        return torch.where(item.mask[:, None, None, None], done(images, size), images)
    if item.op.form == "separable" and len(item.rows) == len(images):
        return done(images, size)
    images = images.clone()
    images[item.rows] = done(images[item.rows], size[item.rows])
    return images


def _kept(lowered: Lowered, column: Trace, size: Tensor) -> Tensor:
    """float32 [B]: the weight that each image's own label keeps in a slot."""
    own = torch.ones(len(size), dtype=torch.float32, device=size.device)
    if lowered.region is not None:
        own = torch.where(lowered.region.content[:, 0] == int(Content.PARTNER), kept_share(column["box"], size), own)
    if lowered.mix is not None:
        own = torch.where(lowered.mix.labels[:, 0], lowered.mix.weight[:, 0], own)
    return own


def _batch_wide(space: Space, noise: Noise, op: Tensor, on: Tensor, u: Tensor, batches: int) -> tuple[Tensor, Tensor]:
    """`on` and uniforms where batch-wide operations have those of one row: the one with the smallest key, whatever the
    order of the batch."""
    count = len(noise) // batches
    first = torch.arange(batches, device=op.device) * count
    row = (noise.key.view(batches, count).argmin(1) + first)[:, None].expand(batches, count).flatten()
    shared = constant(tuple(entry.op.batch_wide for entry in space.entries), torch.bool, op.device)[op]
    return torch.where(shared, on.index_select(0, row), on), torch.where(shared[..., None], u.index_select(0, row), u)


def _has_record(op: Op) -> bool:
    """Whether an operation is a record of numbers to back ends: not a function of images, and no blur, whose weights are
    exponentials, which compilers round differently; nor what makes images smaller, whose sums may be of any length."""
    if op.form != "separable":
        return op.form != "map"
    size, middle = torch.tensor([[8, 8]], device="cpu"), torch.tensor([0.5], dtype=torch.float32, device="cpu")
    record = op.lower({name: p.law.value(middle, middle) for name, p in op.parameters.items()}, size)
    return bool(record.kernel != Kernel.GAUSSIAN and record.taps <= taps_of(record.kernel, 1.0))
