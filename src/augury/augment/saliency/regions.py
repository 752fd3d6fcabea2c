"""Chooses boxes by the saliency they contain: scores of all candidates, their quantile, a uniform choice beyond it.

Gong et al. 2021 (KeepAugment, arXiv:2011.11778), section 3 and algorithm 1. The published loop redraws a box until its
score is on the right side of the threshold; choosing uniformly among all that are has the same distribution, ends always
and needs no loop. Everything is per image, on the device, without waiting for it.
"""

from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from augury.augment.forms.region import clipped
from augury.core.devices import is_host
from augury.core.op import Candidates

Map = Literal["own", "foreign", "constant"]
Placing = Literal["own", "inside", "centred"]
# Whole levels make the integral image exact in float64 (up to 2^23 pixels), so that ties are ties on every device.
_LEVELS = 2.0**30
# Pixels of maps that are weighed together on a CPU.
_AT_ONCE = 2**17


class Scores(NamedTuple):
    """The saliency of every candidate. value: float64 [B,H,W], in the map's units; valid: bool [B,H,W], which are candidates.

    The candidate at (y, x) has its top left corner there (`inside`), or its centre (`centred`: clipped at the border).
    """

    value: Tensor
    valid: Tensor


class Placement(NamedTuple):
    """One box per image. box: int64 [B,4], top, left, bottom, right (exclusive); score and threshold: float64 [B].

    corner: int64 [B,2], top and left before the box was cut at the border.
    """

    box: Tensor
    score: Tensor
    threshold: Tensor
    corner: Tensor


def usable(saliency: Tensor) -> Tensor:
    """bool [B]: whether a map float [B,H,W] is finite everywhere."""
    return saliency.isfinite().flatten(1).all(1)


def box_scores(saliency: Tensor, height: Tensor, width: Tensor, size: Tensor, candidates: Candidates = "inside") -> Scores:
    """The sum of the map over every candidate of `height` x `width` pixels, int64 [B], in images of valid `size` [B,2].

    saliency: float [B,H,W], at least 0; maps that are not finite count as zero. A box larger than its image is the image.
    Sums are exact for the map rounded to 2^-30 of its largest value. Cost: a few passes over the map, whatever the box.
    """
    levels, unit = _levels(saliency, size)
    integral = torch.nn.functional.pad(levels.cumsum(1).cumsum(2), (1, 0, 1, 0))
    rows = _edges(levels.shape[1], height, size[:, 0], candidates)
    columns = _edges(levels.shape[2], width, size[:, 1], candidates)
    strips = _at(integral, rows.end, 1) - _at(integral, rows.start, 1)
    value = _at(strips, columns.end, 2) - _at(strips, columns.start, 2)
    return Scores(value * unit, rows.valid[:, :, None] & columns.valid[:, None, :])


def threshold(scores: Scores, tau: float) -> Tensor:
    """float64 [B]: the tau-quantile of each image's candidates, linear between ranks."""
    value = torch.where(scores.valid, scores.value, torch.inf).flatten(1)
    rank = (scores.valid.flatten(1).sum(1) - 1).clamp(min=0).double() * tau
    low, high = rank.floor(), rank.ceil()
    ordered = _ordered(value, low.long(), high.long())
    below = ordered.gather(1, low.long()[:, None])[:, 0]
    above = ordered.gather(1, high.long()[:, None])[:, 0]
    return below + (above - below) * (rank - low)


def _ordered(value: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """float64 [B,N] with each row's values in order at the ranks `low` and `high`, int64 [B], at least."""
    if is_host(value.device) and len(value) and bool((low == low[0]).all() & (high == high[0]).all()):
        return torch.from_numpy(np.partition(value.detach().numpy(), sorted({int(low[0]), int(high[0])}), axis=1))
    return value.sort(1).values


def choose(
    saliency: Tensor, height: Tensor, width: Tensor, size: Tensor, pick: Tensor, *,
    tau: float, salient: bool, candidates: Candidates = "inside",
) -> Placement:  # fmt: skip
    """A box drawn uniformly among the candidates above (`salient`) or below the tau-quantile of all of them.

    Where none is strictly beyond it (a constant map, a single candidate), those equal to it are drawn from as well.
    pick: int64 [B], uniform over 0 .. 2^32 - 1. Other arguments as in `box_scores`.
    """
    # On a CPU a few images at a time, whose tables stay in the processor's cache.
    images, pixels = len(saliency), saliency.shape[1] * saliency.shape[2]
    few = max(1, _AT_ONCE // max(1, pixels) if is_host(saliency.device) else images)
    parts = [
        _chosen(saliency[k : k + few], height[k : k + few], width[k : k + few], size[k : k + few], pick[k : k + few], tau, salient,
                candidates)
        for k in range(0, max(1, images), few)
    ]  # fmt: skip
    return parts[0] if len(parts) == 1 else Placement(*(torch.cat(each) for each in zip(*parts, strict=True)))


def _chosen(
    saliency: Tensor, height: Tensor, width: Tensor, size: Tensor, pick: Tensor, tau: float, salient: bool, candidates: Candidates
) -> Placement:  # fmt: skip
    scores = box_scores(saliency, height, width, size, candidates)
    limit = threshold(scores, tau)
    value, allowed = scores.value.flatten(1), allowed_places(scores, limit, salient).flatten(1)
    wanted = (pick * allowed.sum(1)) >> 32
    found = (allowed.cumsum(1) <= wanted[:, None]).sum(1).clamp(max=value.shape[1] - 1)
    top, left = found // saliency.shape[2], found % saliency.shape[2]
    if candidates == "inside":
        height, width = torch.minimum(height, size[:, 0]), torch.minimum(width, size[:, 1])
    else:
        top, left = top - height // 2, left - width // 2
    corner = torch.stack([top, left], 1)
    box = clipped(corner, torch.stack([height, width], 1), size)
    return Placement(box, value.gather(1, found[:, None])[:, 0], limit, corner)


def allowed_places(scores: Scores, limit: Tensor, salient: bool) -> Tensor:
    """bool [B,H,W]: the candidates beyond each image's limit, float64 [B]; those equal to it too where none is beyond."""
    limits = limit[:, None, None]
    strictly = (scores.value > limits if salient else scores.value < limits) & scores.valid
    loosely = (scores.value >= limits if salient else scores.value <= limits) & scores.valid
    return torch.where(strictly.flatten(1).any(1)[:, None, None], strictly, loosely)


def salient_centres(
    saliency: Tensor, u: Tensor, size: Tensor, side: Tensor | int, *, tau: float = 0.6, salient: bool = True
) -> Tensor:
    """int64 [B,2]: centre row and column (top left + side // 2) of a square inside the image that holds more than the
    tau-quantile of all such squares; less than it with salient=False.

    saliency: float [B,H,W]. u: float [B] or [B,n] in [0,1), of which the first column counts. size: int64 [B,2], valid
    rows and columns. side: pixels, int64 [B] or one number. Maps that are not finite leave all squares equal.
    """
    first = u if u.ndim == 1 else u[:, 0]
    sides = torch.as_tensor(side, device=saliency.device).to(torch.int64).expand(len(saliency))
    pick = (first.double() * 2**32).to(torch.int64)
    box = choose(saliency, sides, sides, size, pick, tau=tau, salient=salient).box
    return torch.stack([box[:, 0] + sides // 2, box[:, 1] + sides // 2], 1)


class _Edges(NamedTuple):
    """Along one axis: where each candidate starts and ends (exclusive), int64 [B,L], and whether it is one, bool [B,L]."""

    start: Tensor
    end: Tensor
    valid: Tensor


def _edges(length: int, extent: Tensor, size: Tensor, candidates: Candidates) -> _Edges:
    place = torch.arange(length, device=extent.device)
    limit = size[:, None]
    if candidates == "inside":
        extent = torch.minimum(extent, size)[:, None]
        end = place + extent
        return _Edges(torch.minimum(place, limit), torch.minimum(end, limit), end <= limit)
    start = place - (extent // 2)[:, None]
    end = start + extent[:, None]
    return _Edges(torch.minimum(start.clamp(min=0), limit), torch.minimum(end.clamp(min=0), limit), place < limit)


def _at(table: Tensor, index: Tensor, axis: int) -> Tensor:
    """Rows (axis 1) or columns (axis 2) of float64 [B,P,Q], chosen for each image by int64 [B,L]."""
    if axis == 1:
        return table.gather(1, index[:, :, None].expand(-1, -1, table.shape[2]))
    return table.gather(2, index[:, None, :].expand(-1, table.shape[1], -1))


def _levels(saliency: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """Whole levels float64 [B,H,W], zero outside the valid part and in maps that are not finite, and their unit [B,1,1]."""
    height, width = saliency.shape[1:]
    rows = torch.arange(height, device=saliency.device)[:, None] < size[:, 0, None, None]
    columns = torch.arange(width, device=saliency.device) < size[:, 1, None, None]
    good = rows & columns & usable(saliency)[:, None, None]
    values = torch.where(good, saliency.double(), 0.0)
    largest = values.flatten(1).amax(1)[:, None, None] if height * width else values.new_ones(len(values), 1, 1)
    unit = torch.where(largest > 0, largest, 1.0) / _LEVELS
    return (values / unit).round(), unit
