"""The Attentive CutMix stage: pastes the cells of another image that a network attends to most, and mixes the labels."""

from dataclasses import dataclass

import torch
from torch import Tensor

from augury.augment.geometry.followed import Followed
from augury.augment.saliency.maps import SaliencyKind, map_of
from augury.augment.saliency.regions import usable
from augury.core.batch import Batch
from augury.core.checks import check_part, check_rows, check_size
from augury.core.noise import Noise
from augury.core.plan import Clock
from augury.core.stage import Domain, Trace


@dataclass(frozen=True)
class AttentiveCutMix:
    """Pastes the `cells` of another image's `grid` x `grid` cells with the most attention, at the same positions.

    The trace holds partner int64 [B], whose cells a row gets; cells bool [B,grid x grid], which; on bool [B]. Partners
    whose map is not finite give nothing. network: what the host is to take the attention from; None: the one it trains.
    """

    cells: int
    grid: int
    p: float
    network: str | None = None
    saliency: SaliencyKind = "attention"
    name: str = "attentive_cutmix"
    address: str = "attentive_cutmix"
    intensive: bool = True
    domain: Domain = "any"
    needs: frozenset[str] = frozenset({"saliency", "partner"})
    mixes_labels: bool = True

    def sample(self, batch: Batch, noise: Noise, clock: Clock | None = None, intensity: float | Tensor = 1.0) -> Trace:
        """Partners and their cells. Raises InputError if the batch has no map."""
        found = map_of(batch, self.name)
        partner = noise.fold("partner0").partners()
        on = (noise.fold("plan").uniform(1)[:, 0] < self.p) & usable(found)[partner]
        if isinstance(intensity, Tensor) or intensity != 1:
            on = on & (noise.fold("intensity").uniform(1)[:, 0] < intensity)
        held = self._attention(torch.where(usable(found)[:, None, None], found, 0.0), batch.sizes())
        best = held.topk(self.cells, 1).indices
        cells = torch.zeros_like(held, dtype=torch.bool).scatter_(1, best, True)
        return {"partner": partner, "cells": cells[partner], "on": on}

    def apply(self, batch: Batch, trace: Trace) -> Batch:
        """The cells pasted, the labels mixed by the exact area; a pure function of both."""
        check_size(batch)
        check_part(trace, "cells", torch.bool, (len(batch), self.grid**2))
        check_part(trace, "on", torch.bool, (len(batch),))
        check_part(trace, "partner", torch.int64, (len(batch),))
        check_rows(trace["partner"], "trace: partner", (len(batch),), len(batch))
        size, partner = batch.sizes(), trace["partner"]
        mask = self._mask(batch.images[:, 0], trace, size)
        images = torch.where(mask[:, None], batch.images[partner], batch.images)
        area = (size[:, 0] * size[:, 1]).clamp(min=1)
        weight = (1 - mask.flatten(1).sum(1).double() / area).to(torch.float32)
        targets = None if batch.targets is None else batch.targets.mix(partner, weight)
        return batch.replace(images=images, targets=targets, saliency=None)

    def _mask(self, canvas: Tensor, trace: Trace, size: Tensor) -> Tensor:
        """bool [B,H,W], as `canvas` is: the pixels that are pasted."""
        mask = trace["cells"].gather(1, self._cell(canvas, size).flatten(1)).reshape(canvas.shape)
        return mask & trace["on"][:, None, None] & _valid(canvas, size)

    def follow(self, followed: Followed, trace: Trace) -> Followed:
        """Masks take the cells over; boxes and key points are refused."""
        followed.refuse_coordinates(self.name, "pastes parts of another image")
        if followed.sources is None:
            return followed
        return followed.filled(self._mask(followed.sources, trace, followed.size), trace["partner"])

    def repeat(self, noise: Noise) -> Noise:
        return noise

    def describe(self, trace: Trace, row: int) -> str:
        """In words: how many cells."""
        return f"{self.name} {int(trace['cells'][row].sum())} cells" if bool(trace["on"][row]) else ""

    def _cell(self, images: Tensor, size: Tensor) -> Tensor:
        """int64 [B,H,W]: the number of every pixel's cell."""
        rows, columns = (torch.arange(n, device=images.device) for n in images.shape[-2:])
        down = (rows * self.grid // size[:, :1].clamp(min=1)).clamp(max=self.grid - 1)
        right = (columns * self.grid // size[:, 1:].clamp(min=1)).clamp(max=self.grid - 1)
        return down[:, :, None] * self.grid + right[:, None, :]

    def _attention(self, found: Tensor, size: Tensor) -> Tensor:
        """float64 [B,grid x grid]: the mean of the map over each cell; below every other where a cell has no pixel."""
        cell, valid = self._cell(found[:, None], size).flatten(1), _valid(found[:, None], size).flatten(1)
        empty = found.new_zeros(len(found), self.grid**2, dtype=torch.float64)
        total = empty.scatter_add(1, cell, found.flatten(1).double() * valid)
        count = empty.scatter_add(1, cell, valid.double())
        return torch.where(count > 0, total / count.clamp(min=1), -1.0)


def _valid(images: Tensor, size: Tensor) -> Tensor:
    """bool [B,H,W]: the pixels within each image's valid part."""
    rows, columns = (torch.arange(n, device=images.device) for n in images.shape[-2:])
    return (rows < size[:, :1])[:, :, None] & (columns < size[:, 1:])[:, None, :]
