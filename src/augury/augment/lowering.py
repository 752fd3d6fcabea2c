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
from augury.core.op import Op, Parts, Values
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
        if self.op.form == "separable" and len(self.rows) == len(images):
            return self._on(images, size)
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
        content, *_ = op.lower({n: p.law.value(middle, middle) for n, p in op.parameters.items()}, size)
        found.add(Content(int(content)))
    return frozenset(found)


def lower(space: Space, trace: Trace, size: Tensor, kinds: frozenset[Content]) -> Lowered:
    """The records of a trace (op, on: [B,S]; value: [B,S,P]) for images of valid `size` int64 [B,2].

    Every operation is lowered on all rows, which takes fewer and simpler steps than picking its own: a batch's records are
    so small that on any device the number of steps is what costs. What is the same for all rows of an operation is not
    computed at all but looked up by the operation's index.
    """
    count, slots = trace["op"].shape
    fires = _Fires(torch.where(trace["on"], trace["op"], len(space)).flatten(), len(space), {})
    columns = trace["value"].flatten(0, 1).unbind(1)
    one = size.stride(0) == 0
    every = size[:1].expand(count * slots, 2) if one else size if slots == 1 else size.repeat_interleave(slots, 0)
    made: dict[str, list[_Made]] = {}
    apart: list[list[Apart]] = [[] for _ in range(slots)]
    for op, entries in space.distinct:
        values = {name: columns[k] for k, name in enumerate(op.parameters)}
        if op.form in BLANK:
            made.setdefault(op.form, []).append((entries, op.lower(values, every)))
        else:
            mask = fires.among(entries).view(count, slots)
            for slot in range(slots):
                own = {name: part[slot::slots] for name, part in values.items()}
                apart[slot] += _apart(op, mask[:, slot], own)
    records = {form: _record(form, made[form], fires, slots) if form in made else None for form in BLANK}
    codes = fires.looked_up([FORMS.index(entry.op.form) for entry in space.entries], -1, torch.int8)
    return Lowered(codes.view(count, slots), **records, apart=tuple(map(tuple, apart)), contents=kinds)


_Made = tuple[tuple[int, ...], Parts]


@dataclass(frozen=True)
class _Fires:
    """Which entry of a space fires, int64 [n], `entries` where none does. masks: those made so far."""

    index: Tensor
    entries: int
    masks: dict[tuple[int, ...], Tensor]

    def among(self, entries: tuple[int, ...]) -> Tensor:
        """bool [n]: whether one of these entries fires."""
        if entries not in self.masks:
            one = len(entries) == 1
            chosen = [k in entries for k in range(self.entries)]
            self.masks[entries] = self.index == entries[0] if one else self.looked_up(chosen, False, torch.bool)
        return self.masks[entries]

    def looked_up(self, numbers: list[Any], otherwise: Any, dtype: torch.dtype) -> Tensor:
        """The number, or the tuple of numbers, of the entry that fires."""
        return constant((*numbers, otherwise), dtype, self.index.device).index_select(0, self.index)


def _apart(op: Op, mask: Tensor, values: Values) -> Iterator[Apart]:
    if not devices.is_host(mask.device):
        yield Apart(op, None, mask, values)
        return
    rows = mask.nonzero()[:, 0]
    if len(rows):
        yield Apart(op, rows, mask, {name: part[rows] for name, part in values.items()})


def _record(form: str, made: list[_Made], fires: _Fires, slots: int) -> Any:
    """One record [B,S,...] of a form: its identity, overwritten where an operation of that form fires."""
    record, *blanks = BLANK[form]
    parts = [_part([(entries, parts[k]) for entries, parts in made], fires, *blank) for k, blank in enumerate(blanks)]
    return record(*(part.reshape(-1, slots, *part.shape[1:]) for part in parts))


def _part(made: list[tuple[tuple[int, ...], Any]], fires: _Fires, blank: Any, dtype: torch.dtype) -> Tensor:
    """One part [n] or [n,k] of a record: numbers are looked up, then what was computed is laid over them."""
    numbers = [blank] * fires.entries
    for entries, part in made:
        for entry in entries:
            numbers[entry] = _numbers(part, blank)
    whole = fires.looked_up(numbers, blank, dtype)
    if not isinstance(blank, tuple):
        return _laid(whole, made, fires)
    columns = [[(entries, part[k]) for entries, part in made if isinstance(part[k], Tensor)] for k in range(len(blank))]
    if not any(columns):
        return whole
    return torch.stack([_laid(column, over, fires) for column, over in zip(whole.unbind(1), columns, strict=True)], 1)


def _numbers(part: Any, blank: Any) -> Any:
    """What of a part is known without computing; the identity's numbers in place of the rest."""
    if isinstance(blank, tuple):
        return tuple(_numbers(one, other) for one, other in zip(part, blank, strict=True))
    return blank if isinstance(part, Tensor) else part


def _laid(whole: Tensor, made: list[tuple[tuple[int, ...], Any]], fires: _Fires) -> Tensor:
    """Numbers [n] with computed ones over them where their operations fire; one step for operations that share them."""
    groups: list[tuple[Tensor, tuple[int, ...]]] = []
    for entries, part in made:
        if not isinstance(part, Tensor):
            continue
        at = next((k for k, (known, _) in enumerate(groups) if known is part), None)
        if at is None:
            groups.append((part, entries))
        else:
            groups[at] = part, groups[at][1] + entries
    for part, entries in groups:
        whole = torch.where(fires.among(entries), part.to(whole.dtype), whole)
    return whole
