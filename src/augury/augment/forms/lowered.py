"""Lowered: a drawn trace as rows of numbers per form, without operation names, for a back end to execute."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from augury.augment.forms.blend import Blend
from augury.augment.forms.mix import Mix
from augury.augment.forms.region import NO_GRID, Content, Region
from augury.augment.forms.table import LookupTable
from augury.augment.forms.warp import Warp
from augury.core.op import Op, Values

# The identity of every form: numbers and dtype per part.
BLANK: dict[str, tuple[Any, ...]] = {
    "warp": (Warp, ((1.0, 0.0, 0.0, 0.0, 1.0, 0.0), torch.float64), (False, torch.bool), (0.0, torch.float32)),
    "table": (LookupTable, (0, torch.int64), (0.0, torch.float64)),
    "blend": (Blend, (0, torch.int64), (1.0, torch.float32)),
    "region": (Region, (0, torch.int64), (0.0, torch.float32), (0, torch.int64), (NO_GRID, torch.int64)),
    "mix": (Mix, (1.0, torch.float32), (False, torch.bool)),
}
FORMS = (*BLANK, "separable", "map")


@dataclass(frozen=True)
class Lowered:
    """A trace as records for the back ends.

    form: int8 [B,S], index into FORMS, -1 where nothing fires. warp .. mix: records with parts [B,S,...], None if no
    operation of the space has that form; rows of another form hold its identity. subsets: per slot, the operations that
    run over their own rows alone (separable and map).
    contents: which region contents can occur.
    """

    form: Tensor
    warp: Warp | None
    table: LookupTable | None
    blend: Blend | None
    region: Region | None
    mix: Mix | None
    subsets: tuple[tuple["SubsetOp", ...], ...]
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
        return Lowered(self.form[:, cut], **parts, subsets=self.subsets[number : number + 1], contents=self.contents)


@dataclass(frozen=True)
class SubsetOp:
    """An operation that runs on its own rows alone: `rows` int64 [n] and `values` [n] on a CPU; on a GPU `rows` is None, it
    runs on all rows, and `mask` bool [B] says where its result counts."""

    op: Op
    rows: Tensor | None
    mask: Tensor
    values: Values
