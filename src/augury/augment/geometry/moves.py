"""Moves: where points of an image go when its pixels are moved."""

from dataclasses import dataclass

import torch
from torch import Tensor

_STEPS = 20  # of Newton's iteration
_CLOSE_PIXELS = 0.02  # a residual that needs no second search
_COMPARED = 1 << 22  # pairs of point and pixel that are compared at once


@dataclass(frozen=True)
class Affine:
    """matrix: float64 [B,6], output to input as of a Warp, in which the centre of the first pixel is (0.5, 0.5)."""

    matrix: Tensor

    def forward(self, points: Tensor, of: Tensor) -> Tensor:
        """Where points float64 [n,2] (x, y, of image `of`, int64 [n]) of the input are in the output."""
        a, b, c, d, e, f = self.matrix.to(points.device)[of].unbind(1)
        x, y = points[:, 0] - c, points[:, 1] - f
        scale = a * e - b * d
        return torch.stack([(e * x - b * y) / scale, (a * y - d * x) / scale], 1)


@dataclass(frozen=True)
class Field:
    """A displacement of every pixel. rows: int64 [k], which images; row, column: float64 [k,H,W], in pixel indices, what each
    pixel of the result reads. Beside the image the displacement of the nearest border pixel holds."""

    rows: Tensor
    row: Tensor
    column: Tensor

    def forward(self, points: Tensor, of: Tensor) -> Tensor:
        """Where points float64 [n,2] (x, y, of image `of`, int64 [n]) of the input are in the output: the inverse of what is
        read, by Newton's method; where the field folds and has several, one of them."""
        result = points.clone()
        for number, image in enumerate(self.rows.tolist()):
            mine = (of == image).nonzero()[:, 0]
            if len(mine):
                displacement = torch.stack([self.column[number], self.row[number]]).to(points.device)
                displacement = displacement - _grid(displacement)
                result[mine] = _inverse(displacement, points[mine] - 0.5) + 0.5
        return result


Move = Affine | Field


def forward(moves: tuple[Move, ...], points: Tensor, of: Tensor) -> Tensor:
    """Points float64 [n,2] of images `of` after all moves."""
    for move in moves:
        points = move.forward(points, of)
    return points


def _grid(like: Tensor) -> Tensor:
    """x and y of every pixel, [2,H,W]."""
    y, x = (torch.arange(n, dtype=torch.float64, device=like.device) for n in like.shape[-2:])
    return torch.stack([x.expand(len(y), -1), y[:, None].expand(-1, len(x))])


def _inverse(displacement: Tensor, wanted: Tensor) -> Tensor:
    """Places p, float64 [n,2], with p + displacement(p) = wanted; the closest that was found where there is none."""
    place, error = _newton(displacement, wanted, wanted)
    far = (error > _CLOSE_PIXELS).nonzero()[:, 0]
    if len(far):
        again, left = _newton(displacement, wanted[far], _closest_pixel(displacement, wanted[far]))
        better = left < error[far]
        place[far] = torch.where(better[:, None], again, place[far])
    return place


def _newton(displacement: Tensor, wanted: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """The best place that the iteration came by, and its distance from what is wanted."""
    place, best, least = start, start.clone(), torch.full_like(start[:, 0], torch.inf)
    for _ in range(_STEPS):
        shift, slope = _at(displacement, place)
        rest = place + shift - wanted
        error = rest.norm(dim=1)
        best = torch.where((error < least)[:, None], place, best)
        least = torch.minimum(error, least)
        (a, b), (c, d) = slope[:, 0].unbind(1), slope[:, 1].unbind(1)
        a, d = a + 1, d + 1
        scale = a * d - b * c
        solved = torch.stack([d * rest[:, 0] - b * rest[:, 1], a * rest[:, 1] - c * rest[:, 0]], 1) / scale[:, None]
        step = torch.where((scale.abs() > 0.05)[:, None], solved, rest)
        length = step.norm(dim=1, keepdim=True).clamp(min=1e-12)
        place = place - step * (length.clamp(max=4) / length)
    return best, least


def _at(displacement: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
    """The displacement [n,2] between pixels, and its derivatives [n,2 (component),2 (x, y)]."""
    height, width = displacement.shape[-2:]
    last = torch.tensor([width - 1, height - 1], dtype=place.dtype, device=place.device)
    inside = torch.minimum(place.clamp(min=0), last)
    corner = torch.minimum(inside.floor(), (last - 1).clamp(min=0))
    dx, dy = (inside - corner).unbind(1)
    x, y = corner.to(torch.int64).unbind(1)
    right, below = (x + 1).clamp(max=width - 1), (y + 1).clamp(max=height - 1)
    a, b, c, d = displacement[:, y, x], displacement[:, y, right], displacement[:, below, x], displacement[:, below, right]
    value = (a * (1 - dx) + b * dx) * (1 - dy) + (c * (1 - dx) + d * dx) * dy
    along = torch.stack([(b - a) * (1 - dy) + (d - c) * dy, (c - a) * (1 - dx) + (d - b) * dx], -1)
    still = (place != inside)[None]
    return value.T, torch.where(still, 0.0, along).transpose(0, 1)


def _closest_pixel(displacement: Tensor, wanted: Tensor) -> Tensor:
    """The pixel that reads closest to each wanted place."""
    reads = (displacement + _grid(displacement)).flatten(1).float()
    width, found = displacement.shape[-1], []
    for some in wanted.float().split(max(1, _COMPARED // reads.shape[1])):
        distance = (reads[0] - some[:, :1]) ** 2 + (reads[1] - some[:, 1:]) ** 2
        found.append(distance.argmin(1))
    index = torch.cat(found)
    return torch.stack([index % width, index // width], 1).to(wanted.dtype)
