"""Packs lowered stages into records: one row of numbers per image and slot, which a compiled kernel reads."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from augury.augment.forms.lowered import FORMS, Lowered
from augury.augment.forms.operators import pixel_records
from augury.augment.forms.records import (
    BILINEAR,
    BOX,
    CONTENT,
    DEGENERATE,
    EDGE,
    FACTOR,
    FORM,
    GRID,
    KEEP,
    MATRIX,
    PAINT,
    PARTNER,
    PATTERN,
    REALS,
    RECIPE,
    RESAMPLING,
    VALUE,
    WHOLES,
    WINDOW,
)  # fmt: skip
from augury.augment.forms.region import Content


@dataclass(frozen=True)
class Piece:
    """A stage of a chain: its records, and where they occur its boxes int64 [B,S,4] and partners int64 [B,S].

    on_values: whether it comes after normalising.
    """

    lowered: Lowered
    box: Tensor | None
    partner: Tensor | None
    on_values: bool

    @property
    def slots(self) -> int:
        return self.lowered.form.shape[1]

    @property
    def joint(self) -> bool:
        """Whether it reads other images."""
        mixes = self.lowered.mix is not None or Content.PARTNER in self.lowered.contents
        return self.partner is not None and mixes

    @property
    def alone(self) -> bool:
        """Whether it does anything to an image that needs no other."""
        lowered = self.lowered
        moves = lowered.warp is not None or lowered.table is not None or lowered.blend is not None or any(lowered.apart)
        return moves or (lowered.region is not None and not self.joint)


def packed(pieces: Sequence[Piece], size: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """int64 [B,S,WHOLES] and float64 [B,S,REALS] of the stages' slots, one after another, for images of valid `size`."""
    slots = sum(piece.slots for piece in pieces)
    whole, real = np.zeros((len(size), slots, WHOLES), np.int64), np.zeros((len(size), slots, REALS))
    first = 0
    for piece in pieces:
        here = slice(first, first + piece.slots)
        _fill(piece, whole[:, here], real[:, here], size)
        first += piece.slots
    return whole, real


def packed_pixels(form: Tensor, parts: Sequence[Tensor | None]) -> tuple[np.ndarray, np.ndarray]:
    """The records of warps, tables and blends alone: their parts [B,S,...] in the order of augury.augment.forms.operators."""
    count, slots = form.shape
    whole, real = np.zeros((count, slots, WHOLES), np.int64), np.zeros((count, slots, REALS))
    codes = form.numpy()
    whole[:, :, FORM] = np.where(codes <= FORMS.index("blend"), codes, -1)
    _fill_pixels(parts, whole, real)
    return whole, real


def _fill_pixels(parts: Sequence[Tensor | None], whole: np.ndarray, real: np.ndarray) -> None:
    matrix, bilinear, fill, recipe, value, degenerate, factor = (None if part is None else part.numpy() for part in parts)
    if matrix is not None:
        real[:, :, MATRIX : MATRIX + 6], whole[:, :, BILINEAR], real[:, :, EDGE] = matrix, bilinear, fill
    if recipe is not None:
        whole[:, :, RECIPE], real[:, :, VALUE] = recipe, value
    if degenerate is not None:
        whole[:, :, DEGENERATE], real[:, :, FACTOR] = degenerate, factor


def _fill(piece: Piece, whole: np.ndarray, real: np.ndarray, size: Tensor) -> None:
    lowered = piece.lowered
    whole[:, :, FORM] = lowered.form.numpy()
    _fill_pixels(pixel_records(lowered), whole, real)
    if lowered.region is not None and piece.box is not None:
        content, fill, pattern, grid = lowered.region
        whole[:, :, CONTENT], real[:, :, PAINT], whole[:, :, PATTERN] = content.numpy(), fill.numpy(), pattern.numpy()
        whole[:, :, GRID : GRID + 6], whole[:, :, BOX : BOX + 4] = grid.numpy(), piece.box.numpy()
    if lowered.mix is not None:
        real[:, :, KEEP] = lowered.mix.keep.numpy()
    if piece.partner is not None:
        whole[:, :, PARTNER] = piece.partner.numpy()
    for slot, items in enumerate(lowered.apart):
        for item in items:  # resizes: other forms that run apart do not come here
            assert item.rows is not None, "on a CPU rows are picked"
            record, rows = item.op.lower(item.values, size[item.rows]), item.rows.numpy()
            whole[rows, slot, RESAMPLING] = int(record.kernel)
            real[rows, slot, WINDOW : WINDOW + 4] = torch.cat([record.rows, record.columns], 1).numpy()
