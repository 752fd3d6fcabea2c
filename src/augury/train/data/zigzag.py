"""The zigzag of MNIST-C: a bright jagged line across a digit."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from augury.core.noise import Noise

SIDE = 28
_LEFT, _RIGHT = 2, 25
_PERIOD, _AMPLITUDE, _THICKNESS = 2.0, 2.0, 2.3


def zigzag(images: Tensor, ids: Tensor, seed: int = 0) -> Tensor:
    """Draws a zigzag over each image: uint8 [N,1,H,W] in and out; ids int64 [N] are the addresses of the random numbers.

    As in Mu and Gilmer 2019 (MNIST-C, arXiv:1906.02337): from column 2 to 25 of 28, from a row in 0 .. 26 to one from 5 above to 4
    below it, with a vertex every 4 pixels, 2 pixels to alternating sides; brightness 1 + log(1 - distance / 2.3), added and clipped
    segment by segment. The last vertex is joined to the end directly, since the original's partial vertex can lie far outside, so
    the line is not bit-identical to theirs; their files are not needed. For sides other than 28, the line is averaged over the
    image's pixels and brightened until its brightest pixel is white.
    """
    drawn = [_line(part) for part in _rows(ids, seed).split(512)] if len(ids) else []
    line = torch.cat(drawn) if drawn else torch.zeros(0, SIDE, SIDE)
    if images.shape[-2:] != (SIDE, SIDE):
        line = functional.interpolate(line[:, None], size=images.shape[-2:], mode="area")[:, 0]
        line = line / line.amax((1, 2), keepdim=True)
    return (images.to(torch.float32) + 255 * line[:, None]).clamp(max=255).round().to(torch.uint8)


def _rows(ids: Tensor, seed: int) -> Tensor:
    """int64 [N,2]: the rows where the lines start and end."""
    noise = Noise.of(seed, ids).fold("zigzag")
    start = noise.fold("start").integers(1, 27)
    return torch.cat([start, start - 5 + noise.fold("end").integers(1, 10)], 1)


def _line(rows: Tensor) -> Tensor:
    """float32 [N,28,28] in [0, 1]: the lines alone; rows int64 [N,2]."""
    start, end = rows.double().unbind(1)
    angle = torch.atan2(end - start, torch.full_like(start, _RIGHT - _LEFT))
    length = torch.hypot(end - start, torch.full_like(start, _RIGHT - _LEFT))
    # The lengths lie between 23 and 23.6, so that all lines have the same number of vertices.
    count = int((_RIGHT - _LEFT - _PERIOD) // (2 * _PERIOD)) + 1
    along = [torch.zeros_like(start), *(torch.full_like(start, (2 * i + 1) * _PERIOD) for i in range(count)), length]
    across = [0.0, *(_AMPLITUDE * (-1) ** i for i in range(count)), 0.0]
    vertices = [
        (start + x * angle.sin() + y * angle.cos(), _LEFT + x * angle.cos() - y * angle.sin())
        for x, y in zip(along, across, strict=True)
    ]
    canvas = torch.zeros(len(rows), SIDE, SIDE, dtype=torch.float64)
    for first, second in zip(vertices, vertices[1:], strict=False):
        canvas = (canvas + _segment(*first, *second)).clamp(max=1)
    return canvas.to(torch.float32)


def _segment(row0: Tensor, column0: Tensor, row1: Tensor, column1: Tensor) -> Tensor:
    grid = torch.arange(SIDE, dtype=torch.float64)
    slope = (row1 - row0) / (column1 - column0)
    height = row0[:, None] + slope[:, None] * (grid - column0[:, None])
    distance = (grid[None, :, None] - height[:, None, :]).abs()
    bright = ((1 - distance / _THICKNESS).clamp(min=math.exp(-2)).log() + 1).clamp(0, 1)
    inside = (grid >= column0[:, None].floor()) & (grid < column1[:, None].ceil())
    return bright * inside[:, None, :]
