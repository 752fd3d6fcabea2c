"""Followed: what the pixels of a batch have been through, stage by stage."""

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from augury.augment.forms.warp import nearest_index
from augury.augment.geometry.moves import Affine, Field, Move
from augury.core import devices
from augury.core.errors import InputError
from augury.core.stage import Stage, Trace

EMPTY = -1
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@dataclass(frozen=True)
class Followed:
    """Where the pixels of a batch are by now.

    size: int64 [B,2], valid rows and columns, of a canvas of `height` and `width`. sources: int64 [B,H,W], for each pixel the
    number of the pixel that it shows, image * H * W + row * W + column of the batch as it was, EMPTY where it shows none; None
    where there are no masks. moves: where points go, None if there are neither boxes nor key points. erases: whether what a
    region operation fills counts as empty.
    """

    size: Tensor
    height: int
    width: int
    sources: Tensor | None
    moves: tuple[Move, ...] | None
    erases: bool = False

    @staticmethod
    def start(size: Tensor, height: int, width: int, *, masks: bool, coordinates: bool, erases: bool = False) -> "Followed":
        """A batch to which nothing has happened."""
        count = len(size)
        sources = torch.arange(count * height * width, device=size.device).view(count, height, width) if masks else None
        return Followed(size, height, width, sources, () if coordinates else None, erases)

    def warped(self, matrix: Tensor) -> "Followed":
        """After a warp by float64 [B,6], output to input."""
        done = self if self.moves is None else replace(self, moves=(*self.moves, Affine(matrix)))
        if self.sources is None:
            return done
        if not devices.is_host(matrix.device):
            return replace(done, sources=self._read(self.sources, *nearest_index(matrix, self.size, self.height, self.width)))
        rows = (matrix != torch.tensor(IDENTITY, dtype=torch.float64, device="cpu")).any(1).nonzero()[:, 0]
        if not len(rows):
            return done
        sources = self.sources.clone()
        index, inside = nearest_index(matrix[rows], self.size[rows], self.height, self.width)
        sources[rows] = self._read(sources[rows], index, inside)
        return replace(done, sources=sources)

    def displaced(self, rows: Tensor, row: Tensor, column: Tensor) -> "Followed":
        """After the images `rows`, int64 [k], have read at row and column, float64 [k,H,W] in pixel indices; the nearest
        pixel, the border's where that lies outside."""
        done = self if self.moves is None else replace(self, moves=(*self.moves, Field(rows, row, column)))
        if self.sources is None:
            return done
        last = (self.size[rows] - 1).clamp(min=0)[:, :, None, None]
        y = torch.minimum((row + 0.5).floor().to(torch.int64).clamp(min=0), last[:, 0])
        x = torch.minimum((column + 0.5).floor().to(torch.int64).clamp(min=0), last[:, 1])
        valid = self._valid(rows)
        here = torch.arange(self.height * self.width, device=rows.device).view(self.height, self.width)
        index = torch.where(valid, y * self.width + x, here)
        sources = self.sources.clone()
        sources[rows] = self._read(sources[rows], index, torch.ones_like(valid))
        return replace(done, sources=sources)

    def filled(self, mask: Tensor, partner: Tensor | None = None) -> "Followed":
        """After the pixels of `mask`, bool [B,H,W], have been filled: from other images (int64 [B]), or with what shows nothing."""
        if self.sources is None or (partner is None and not self.erases):
            return self
        others = EMPTY if partner is None else self.sources[partner]
        return replace(self, sources=torch.where(mask, others, self.sources))

    def restored(self, mask: Tensor, before: "Followed") -> "Followed":
        """After the pixels of `mask`, bool [B,H,W], have been put back to what they were."""
        if self.sources is None or before.sources is None:
            return self
        return replace(self, sources=torch.where(mask, before.sources, self.sources))

    def refuse_coordinates(self, name: str, reason: str) -> None:
        """InputError if there are boxes or key points, which cannot follow."""
        if self.moves is not None:
            raise InputError(f"{name}: {reason}; boxes and key points cannot follow")

    def _read(self, sources: Tensor, index: Tensor, inside: Tensor) -> Tensor:
        read = sources.flatten(1).gather(1, index.flatten(1)).view(sources.shape)
        return torch.where(inside, read, EMPTY)

    def _valid(self, rows: Tensor) -> Tensor:
        y = torch.arange(self.height, device=rows.device)[:, None]
        x = torch.arange(self.width, device=rows.device)
        size = self.size[rows][:, :, None, None]
        return (y < size[:, 0]) & (x < size[:, 1])


@runtime_checkable
class Follows(Protocol):
    """A stage that says where the pixels of a trace went, so that masks, boxes and key points can follow its images."""

    def follow(self, followed: Followed, trace: Trace) -> Followed:
        """`followed` after the stage. Raises InputError, in one line, for what cannot follow."""
        ...


def follow(stage: Stage, followed: Followed, trace: Trace) -> Followed:
    """`followed` after any stage. Raises InputError if the stage does not say where pixels go."""
    if not isinstance(stage, Follows):
        raise InputError(f"{stage.name}: does not say where pixels go; masks, boxes and key points cannot follow")
    return stage.follow(followed, trace)
