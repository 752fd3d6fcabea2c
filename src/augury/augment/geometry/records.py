"""Follows lowered records: each form of record says where pixels went, as a matrix per image or as a field of places."""

import torch
from torch import Tensor

from augury.augment.forms.lowered import Lowered, SubsetOp
from augury.augment.forms.region import Content, inside, squares
from augury.augment.forms.separable import Kernel, Separable
from augury.augment.geometry.followed import IDENTITY, Followed
from augury.core.devices import constant
from augury.core.errors import InputError
from augury.core.op import Op, Values
from augury.core.plan import Space


def check(space: Space, followed: Followed) -> None:
    """Refuses operations that masks, or boxes and key points, cannot follow, drawn or not. Raises InputError."""
    for op, _ in space.distinct:
        if op.form == "mix" and op.mixes_labels:
            raise InputError(f"{op.name}: shows two images at once; masks, boxes and key points cannot follow")
        if op.form == "region" and op.mixes_labels:
            followed.refuse_coordinates(op.name, "pastes a part of another image")
        if op.form == "map" and op.reads is None:
            raise InputError(
                f"{op.name}: a function of images that does not say where pixels go (Op(reads=...)); masks, boxes and key points "
                f"cannot follow"
            )


def follow(followed: Followed, lowered: Lowered, box: Tensor | None, partner: Tensor | None) -> Followed:
    """`followed` after one slot's records (parts [B,1,...]), its boxes int64 [B,4] and partners int64 [B]."""
    if lowered.warp is not None:
        followed = followed.warped(lowered.warp.matrix[:, 0])
    for item in lowered.subsets[0]:
        followed = _displaced(followed, item) if item.op.form == "map" else _resized(followed, item)
    if lowered.region is not None and box is not None:
        content = lowered.region.content[:, 0, None, None]
        held = inside(box, followed.height, followed.width)
        flat = (content == int(Content.CONSTANT)) | (content == int(Content.NOISE))
        if Content.GRID in lowered.contents:
            grid = squares(lowered.region.grid[:, 0], box, followed.height, followed.width)
            flat = flat | ((content == int(Content.GRID)) & grid)
        followed = followed.filled(held & flat)
        if partner is not None:
            followed = followed.filled(held & (content == int(Content.PARTNER)), partner)
    return followed


def _resized(followed: Followed, item: SubsetOp) -> Followed:
    """After a resized crop; a blur moves nothing."""
    size = followed.size if item.rows is None else followed.size[item.rows]
    record: Separable = item.op.lower(item.values, size)
    if record.kernel == Kernel.GAUSSIAN:
        return followed
    (top, bottom), (left, right) = record.rows.unbind(1), record.columns.unbind(1)
    down, across = (bottom - top) / size[:, 0].clamp(min=1), (right - left) / size[:, 1].clamp(min=1)
    zero = torch.zeros_like(top)
    own = torch.stack([across, zero, left, zero, down, top], 1)
    plain = constant(IDENTITY, torch.float64, size.device).expand(len(followed.size), 6)
    if item.rows is None:
        return followed.warped(torch.where(item.mask[:, None], own, plain))
    matrix = plain.clone()
    matrix[item.rows] = own
    return followed.warped(matrix)


def _displaced(followed: Followed, item: SubsetOp) -> Followed:
    """After a map operation."""
    if item.op.reads is None or item.op.reads == "in place":
        return followed
    rows = torch.arange(len(followed.size), device=followed.size.device) if item.rows is None else item.rows
    row, column = _reads(item.op, item.values, followed, rows)
    if item.rows is None:
        y = torch.arange(followed.height, device=row.device, dtype=row.dtype)[:, None]
        x = torch.arange(followed.width, device=row.device, dtype=row.dtype)
        moved = item.mask[:, None, None]
        row, column = torch.where(moved, row, y), torch.where(moved, column, x)
    return followed.displaced(rows, row, column)


def _reads(op: Op, values: Values, followed: Followed, rows: Tensor) -> tuple[Tensor, Tensor]:
    assert callable(op.reads)
    return op.reads(values, followed.size[rows], followed.height, followed.width)
