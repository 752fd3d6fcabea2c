"""Packs the lowered stages of a chain's last step into records, which a compiled kernel reads."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from augury.augment.forms.lowered import Lowered
from augury.augment.forms.records import BOX, CONTENT, FORM, GRID, KEEP, PAINT, PARTNER, PATTERN, REALS, WHOLES
from augury.augment.forms.region import Content


@dataclass(frozen=True)
class Piece:
    """A stage of a chain: its records and, if it has them, its boxes int64 [B,S,4] and partners int64 [B,S].

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


def packed(pieces: Sequence[Piece], count: int) -> tuple[np.ndarray, np.ndarray]:
    """int64 [B,S,WHOLES] and float64 [B,S,REALS] of the stages' slots, one after another, for `count` images."""
    slots = sum(piece.slots for piece in pieces)
    whole, real = np.zeros((count, slots, WHOLES), np.int64), np.zeros((count, slots, REALS))
    first = 0
    for piece in pieces:
        here = slice(first, first + piece.slots)
        _fill(piece, whole[:, here], real[:, here])
        first += piece.slots
    return whole, real


def _fill(piece: Piece, whole: np.ndarray, real: np.ndarray) -> None:
    lowered = piece.lowered
    whole[:, :, FORM] = lowered.form.numpy()
    if lowered.region is not None and piece.box is not None:
        content, fill, pattern, grid = lowered.region
        whole[:, :, CONTENT], real[:, :, PAINT], whole[:, :, PATTERN] = content.numpy(), fill.numpy(), pattern.numpy()
        whole[:, :, GRID : GRID + 6], whole[:, :, BOX : BOX + 4] = grid.numpy(), piece.box.numpy()
    if lowered.mix is not None:
        real[:, :, KEEP] = lowered.mix.weight.numpy()
    if piece.partner is not None:
        whole[:, :, PARTNER] = piece.partner.numpy()
