"""Boxes and key points after their image has moved."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from augury.augment.annotations.options import Annotations
from augury.augment.geometry.moves import Field, Move, forward

_PER_EDGE = 16  # points of a box's edge that a field is followed at
# Of a box (x1, y1, x2, y2), which columns are the corners' x and y, in turn.
_CORNERS_X, _CORNERS_Y = [0, 2, 2, 0], [1, 1, 3, 3]
# The format of boxes: to corners, float64 [n,4], and back.
TO_CORNERS: dict[str, Callable[[Tensor], Tensor]] = {
    "XYXY": lambda b: b,
    "XYWH": lambda b: torch.cat([b[:, :2], b[:, :2] + b[:, 2:]], 1),
    "CXCYWH": lambda b: torch.cat([b[:, :2] - b[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2], 1),
}
FROM_CORNERS: dict[str, Callable[[Tensor], Tensor]] = {
    "XYXY": lambda b: b,
    "XYWH": lambda b: torch.cat([b[:, :2], b[:, 2:] - b[:, :2]], 1),
    "CXCYWH": lambda b: torch.cat([(b[:, :2] + b[:, 2:]) / 2, b[:, 2:] - b[:, :2]], 1),
}


@dataclass(frozen=True)
class Canvas:
    """The size of the images that boxes lie in."""

    height: int
    width: int

    def clamped(self, boxes: Tensor) -> Tensor:
        """Boxes [n,4] (x1, y1, x2, y2) cut at the border."""
        last = torch.tensor([self.width, self.height] * 2, dtype=boxes.dtype, device=boxes.device)
        return torch.minimum(boxes.clamp(min=0), last)


def moved_boxes(boxes: Tensor, of: Tensor, moves: tuple[Move, ...], canvas: Canvas) -> tuple[Tensor, Tensor]:
    """Boxes float64 [n,4] (x1, y1, x2, y2; of image `of`, int64 [n]) around what they held, and the same cut at the border.

    A box's outline is followed through all moves, which is closer than a box around a box at each. What left the image on
    the way does not come back: the second is also within the boxes that were cut at the border after every move.
    """
    whole, outline = boxes, _outline(boxes, _PER_EDGE if any(isinstance(move, Field) for move in moves) else 1)
    each = of[:, None].expand(outline.shape[:2]).flatten()
    visible = canvas.clamped(boxes) if moves else boxes
    for move in moves:
        outline = move.forward(outline.flatten(0, 1), each).view(outline.shape)
        whole = _around(outline)
        edge = _outline(visible, outline.shape[1] // 4)
        visible = canvas.clamped(_around(move.forward(edge.flatten(0, 1), each).view(edge.shape)))
    if not moves:
        return boxes, boxes
    cut = canvas.clamped(whole)
    both = torch.cat([torch.maximum(cut[:, :2], visible[:, :2]), torch.minimum(cut[:, 2:], visible[:, 2:])], 1)
    return whole, torch.cat([both[:, :2], torch.maximum(both[:, 2:], both[:, :2])], 1)


def moved_points(points: Tensor, of: Tensor, moves: tuple[Move, ...]) -> Tensor:
    """Points float64 [n,2] (x, y in pixel indices: the first pixel's centre is 0, 0) after all moves."""
    return forward(moves, points + 0.5, of) - 0.5


def kept(whole: Tensor, visible: Tensor, options: Annotations) -> Tensor:
    """bool [n]: which boxes stay."""
    sides = visible[:, 2:] - visible[:, :2]
    area = (whole[:, 2:] - whole[:, :2]).prod(1)
    share = sides.prod(1) / torch.where(area > 0, area, 1.0)
    # A hair below the share that is asked for: 0.5 of a box is what half of it is, however it was computed.
    return (share >= options.min_visible - 1e-9) & (sides.amin(1) >= options.min_side)


def _outline(boxes: Tensor, per_edge: int) -> Tensor:
    """[n, 4 * per_edge, 2]: points along the edges, the corners among them."""
    corners = torch.stack([boxes[:, _CORNERS_X], boxes[:, _CORNERS_Y]], -1)
    share = (torch.arange(per_edge, dtype=boxes.dtype, device=boxes.device) / per_edge)[:, None]
    following = corners.roll(-1, 1)
    return (corners[:, :, None] * (1 - share) + following[:, :, None] * share).flatten(1, 2)


def _around(outline: Tensor) -> Tensor:
    return torch.cat([outline.amin(1), outline.amax(1)], 1)
