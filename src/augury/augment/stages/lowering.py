"""Lowers a drawn trace to the records that back ends execute: numbers per form, no operation names.

One operation fires per image and slot, so the records of all slots are lowered together, each operation once.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from augury.augment.forms.lowered import BLANK, FORMS, Lowered, SubsetOp
from augury.augment.forms.region import Content
from augury.core import devices
from augury.core.devices import constant
from augury.core.op import Op, Parts, Values
from augury.core.plan import Space
from augury.core.stage import Trace


def contents_of(space: Space) -> frozenset[Content]:
    """Which region contents the operations of a space can ask for."""
    size, middle = torch.tensor([[8, 8]], device="cpu"), torch.tensor([0.5], dtype=torch.float32, device="cpu")
    found = set()
    for op in (entry.op for entry in space.entries if entry.op.form == "region"):
        content, *_ = op.lower({n: p.law.value(middle, middle) for n, p in op.parameters.items()}, size)
        found.add(Content(int(content)))
    return frozenset(found)


def lower(space: Space, trace: Trace, size: Tensor, contents_of: frozenset[Content]) -> Lowered:
    """The records of a trace (op, on: [B,S]; value: [B,S,P]) for images of valid `size` int64 [B,2].

    Every operation is lowered on all rows, which takes fewer and simpler steps than selecting its own: a batch's records are so
    small that the cost is the number of steps on any device. Numbers that are the same for all rows of an operation are looked
    up by the operation's index instead of being computed.
    """
    count, slots = trace["op"].shape
    active = _ActiveEntry(torch.where(trace["on"], trace["op"], len(space)).flatten(), len(space), {})
    columns = trace["value"].flatten(0, 1).unbind(1)
    one = size.stride(0) == 0
    every = size[:1].expand(count * slots, 2) if one else size if slots == 1 else size.repeat_interleave(slots, 0)
    made: dict[str, list[_Made]] = {}
    subsets: list[list[SubsetOp]] = [[] for _ in range(slots)]
    for op, entries in space.distinct:
        values = {name: columns[k] for k, name in enumerate(op.parameters)}
        if op.form in BLANK:
            made.setdefault(op.form, []).append((entries, op.lower(values, every)))
        else:
            mask = active.among(entries).view(count, slots)
            for slot in range(slots):
                own = {name: part[slot::slots] for name, part in values.items()}
                subsets[slot] += _subset_ops(op, mask[:, slot], own)
    records = {form: _record(form, made[form], active, slots) if form in made else None for form in BLANK}
    codes = active.looked_up([FORMS.index(entry.op.form) for entry in space.entries], -1, torch.int8)
    return Lowered(codes.view(count, slots), **records, subsets=tuple(map(tuple, subsets)), contents=contents_of)


_Made = tuple[tuple[int, ...], Parts]


@dataclass(frozen=True)
class _ActiveEntry:
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

    def looked_up(self, numbers: list[Any], otherwise: object, dtype: torch.dtype) -> Tensor:
        """The number, or the tuple of numbers, of the entry that fires."""
        return constant((*numbers, otherwise), dtype, self.index.device).index_select(0, self.index)


def _subset_ops(op: Op, mask: Tensor, values: Values) -> list[SubsetOp]:
    if not devices.is_host(mask.device):
        return [SubsetOp(op, None, mask, values)]
    rows = mask.nonzero()[:, 0]
    return [SubsetOp(op, rows, mask, {name: part[rows] for name, part in values.items()})] if len(rows) else []


def _record(form: str, made: list[_Made], active: _ActiveEntry, slots: int) -> Any:
    """One record [B,S,...] of a form: its identity, overwritten where an operation of that form fires."""
    record, *blanks = BLANK[form]
    parts = [_part([(entries, parts[k]) for entries, parts in made], active, *blank) for k, blank in enumerate(blanks)]
    return record(*(part.reshape(-1, slots, *part.shape[1:]) for part in parts))


def _part(made: list[tuple[tuple[int, ...], Any]], active: _ActiveEntry, blank: object, dtype: torch.dtype) -> Tensor:
    """One part [n] or [n,k] of a record: numbers are looked up, then what was computed is laid over them."""
    numbers = [blank] * active.entries
    for entries, part in made:
        for entry in entries:
            numbers[entry] = _numbers(part, blank)
    whole = active.looked_up(numbers, blank, dtype)
    if not isinstance(blank, tuple):
        return _overlay(whole, made, active)
    columns = [[(entries, part[k]) for entries, part in made if isinstance(part[k], Tensor)] for k in range(len(blank))]
    if not any(columns):
        return whole
    return torch.stack([_overlay(column, over, active) for column, over in zip(whole.unbind(1), columns, strict=True)], 1)


def _numbers(part: Any, blank: Any) -> Any:
    """What of a part is known without computing; the identity's numbers in place of the rest."""
    if isinstance(blank, tuple):
        return tuple(_numbers(one, other) for one, other in zip(part, blank, strict=True))
    return blank if isinstance(part, Tensor) else part


def _overlay(whole: Tensor, made: list[tuple[tuple[int, ...], Any]], active: _ActiveEntry) -> Tensor:
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
        whole = torch.where(active.among(entries), part.to(whole.dtype), whole)
    return whole
