"""From a drawn trace to the records that back ends execute: rows of numbers per form, no operation names.

One operation fires per image and slot, so the records of all slots are lowered together, each operation once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from augury.augment.forms.blend import Blend
from augury.augment.forms.mix import Mix
from augury.augment.forms.region import NO_GRID, Content, Region
from augury.augment.forms.separable import separable
from augury.augment.forms.table import Table
from augury.augment.forms.warp import Warp
from augury.core import devices
from augury.core.devices import constant
from augury.core.op import Op, Values
from augury.core.plan import Space

Trace = dict[str, Tensor]
# The identity of every form: numbers and dtype per part.
BLANK: dict[str, tuple[Any, ...]] = {
    "warp": (Warp, ((1.0, 0.0, 0.0, 0.0, 1.0, 0.0), torch.float64), (False, torch.bool), (0.0, torch.float32)),
    "table": (Table, (0, torch.int64), (0.0, torch.float64)),
    "blend": (Blend, (0, torch.int64), (1.0, torch.float32)),
    "region": (Region, (0, torch.int64), (0.0, torch.float32), (0, torch.int64), (NO_GRID, torch.int64)),
    "mix": (Mix, (1.0, torch.float32), (False, torch.bool)),
}
FORMS = (*BLANK, "separable", "map")


@dataclass(frozen=True)
class Lowered:
    """What a trace asks of the back ends.

    form: int8 [B,S], index into FORMS, -1 where nothing fires. warp .. mix: records with parts [B,S,...], None where no
    operation of the space has that form; rows of another form hold its identity. apart: per slot, the operations that
    run over their rows alone (separable and map), as (rows, mask, function of images and size).
    contents: which region contents can occur.
    """

    form: Tensor
    warp: Warp | None
    table: Table | None
    blend: Blend | None
    region: Region | None
    mix: Mix | None
    apart: tuple[tuple["Apart", ...], ...]
    contents: frozenset[Content]

    def slot(self, number: int) -> "Lowered":
        """One slot of it, parts [B,1,...]."""
        if self.form.shape[1] == 1:
            return self
        cut = slice(number, number + 1)
        parts: dict[str, Any] = {}
        for form in BLANK:
            record = getattr(self, form)
            parts[form] = None if record is None else type(record)(*(part[:, cut] for part in record))
        return Lowered(self.form[:, cut], **parts, apart=self.apart[number : number + 1], contents=self.contents)


@dataclass(frozen=True)
class Apart:
    """An operation that runs on its own rows: `rows` int64 on the CPU, on a GPU all rows, kept where `mask` bool [B]."""

    op: Op
    rows: Tensor | None
    mask: Tensor
    values: Values

    def run(self, images: Tensor, size: Tensor) -> Tensor:
        """The images with this operation done to its rows."""
        if self.rows is None:
            return torch.where(self.mask[:, None, None, None], self._on(images, size), images)
        images = images.clone()
        images[self.rows] = self._on(images[self.rows], size[self.rows])
        return images

    def _on(self, images: Tensor, size: Tensor) -> Tensor:
        if self.op.form == "map":
            return cast(Tensor, self.op.lower(images, self.values, size))
        return separable(images, self.op.lower(self.values, size), size)


def contents(space: Space) -> frozenset[Content]:
    """Which region contents the operations of a space can ask for."""
    size, middle = torch.tensor([[8, 8]]), torch.tensor([0.5])
    found = set()
    for op in (entry.op for entry in space.entries if entry.op.form == "region"):
        record = op.lower({n: p.law.value(middle, middle) for n, p in op.parameters.items()}, size)
        found.add(Content(int(record.content)))
    return frozenset(found)


def lower(space: Space, trace: Trace, size: Tensor, kinds: frozenset[Content]) -> Lowered:
    """The records of a trace (op, on: [B,S]; value: [B,S,P]) for images of valid `size` int64 [B,2]."""
    count, slots = trace["op"].shape
    device = trace["op"].device
    parts: dict[str, list[tuple[Tensor, Any]]] = {}
    apart: list[list[Apart]] = [[] for _ in range(slots)]
    picked = devices.is_host(device) and not _alone(space, slots)
    fired = torch.where(trace["on"], trace["op"], len(space))
    for op, where, values, sizes in _fired(space, fired, trace["value"], size, picked):
        if op.form in ("separable", "map"):
            for slot, item in _apart(op, where, values, slots):
                apart[slot].append(item)
        else:
            parts.setdefault(op.form, []).append((where, op.lower(values, sizes)))
    forms = {entry.op.form for entry in space.entries}
    records = {f: _merged(f, parts.get(f, []), count, slots, device, picked) if f in forms else None for f in BLANK}
    codes = constant((*(FORMS.index(entry.op.form) for entry in space.entries), -1), torch.int8, device)
    return Lowered(codes[fired], **records, apart=tuple(map(tuple, apart)), contents=kinds)


def _alone(space: Space, slots: int) -> bool:
    """Whether there is one operation with a record: lowering all rows then costs less than picking those where it fires."""
    return len(space) == 1 and slots == 1 and space[0].op.form in BLANK


def _fired(space: Space, fired: Tensor, value: Tensor, size: Tensor, picked: bool) -> Iterator[tuple[Op, Tensor, Values, Tensor]]:
    """Each operation with where it fires in the flattened [B x S], its values there and the images' sizes.

    fired: int64 [B,S], the operation's index, the space's length where none fires; value: [B,S,P].

    Where: int64 rows where they are picked; otherwise (on a GPU, where counting them would stall) all rows and a bool mask.
    """
    slots, flat, values = fired.shape[1], fired.flatten(), value.flatten(0, 1)
    if not picked:
        every = size if slots == 1 else size.repeat_interleave(slots, 0)
        for index, entry in enumerate(space.entries):
            yield entry.op, flat == index, _named(entry.op, values), every
        return
    order = flat.argsort(stable=True)
    values, start = values[order], 0
    every = size[:1].expand(len(order), 2) if size.stride(0) == 0 else size[order // slots]
    for entry, number in zip(space.entries, torch.bincount(flat, minlength=len(space)).tolist(), strict=False):
        if number:
            rows = slice(start, start + number)
            yield entry.op, order[rows], _named(entry.op, values[rows]), every[rows]
        start += number


def _named(op: Op, values: Tensor) -> Values:
    return {name: values[:, k] for k, name in enumerate(op.parameters)}


def _apart(op: Op, where: Tensor, values: Values, slots: int) -> Iterator[tuple[int, Apart]]:
    for slot in range(slots):
        if where.dtype == torch.bool:
            every = slice(slot, None, slots)
            yield slot, Apart(op, None, where[every], {name: part[every] for name, part in values.items()})
        else:
            here = where % slots == slot
            if bool(here.any()):
                yield slot, Apart(op, where[here] // slots, here, {name: part[here] for name, part in values.items()})


def _merged(form: str, parts: list[tuple[Tensor, Any]], count: int, slots: int, device: torch.device, picked: bool) -> Any:
    """One record [B,S,...] of a form: its identity, overwritten where an operation of that form fires."""
    record, *blanks = BLANK[form]
    made = []
    rows = torch.cat([where for where, _ in parts]) if picked and parts else None
    for k, (numbers, dtype) in enumerate(blanks):
        blank = constant(numbers, dtype, device)
        whole = blank.expand(count * slots, *blank.shape)
        if rows is not None:
            whole = whole.clone()
            whole[rows] = torch.cat([part[k].to(dtype) for _, part in parts])
        elif not picked:
            for mask, part in parts:
                whole = torch.where(mask.reshape(-1, *[1] * blank.ndim), part[k].to(dtype), whole)
        made.append(whole.reshape(count, slots, *blank.shape).contiguous())
    return record(*made)
