"""Follows patches: windows of an image that are moved on their own, resized and pasted back over it."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from augury.augment.forms import patches
from augury.augment.forms.warp import nearest_index
from augury.augment.geometry.followed import EMPTY, Followed


def cut(followed: Followed, rows: Tensor, box: Tensor, side: int) -> Followed:
    """The windows `box`, int64 [n,4], of the images in `rows`, each in the top left corner of a canvas of its own."""
    assert followed.sources is not None
    window = torch.stack([box[:, 2] - box[:, 0], box[:, 3] - box[:, 1]], 1)
    return Followed(window, side, side, patches.cut(followed.sources[rows, None], box, side)[:, 0], None, followed.erases)


def resized(pieces: Followed, target: Tensor, side: int) -> Followed:
    """The pieces resized to `target`, int64 [n,2], on canvases of `side`, each pixel the nearest."""
    assert pieces.sources is not None
    window, longest = pieces.size, max(side, pieces.height)
    scale = window.double() / target.clamp(min=1)
    zero = torch.zeros_like(scale[:, 0])
    matrix = torch.stack([scale[:, 1], zero, zero, zero, scale[:, 0], zero], 1)
    canvas = pad(pieces.sources, (0, longest - pieces.width, 0, longest - pieces.height))
    index, inside = nearest_index(matrix, window, longest, longest)
    read = torch.where(inside, canvas.flatten(1).gather(1, index.flatten(1)).view(canvas.shape), EMPTY)
    return Followed(target, side, side, read[:, :side, :side], None, pieces.erases)


def pasted(followed: Followed, pieces: Followed, corner: Tensor, on: Tensor, order: Tensor) -> Followed:
    """The images with their pieces over them, one after another in `order`, int64 [B,k], at `corner`, int64 [B,k,2], where `on`."""
    assert followed.sources is not None and pieces.sources is not None
    count = order.shape[1]
    sources, size = pieces.sources.unflatten(0, (-1, count)), pieces.size.unflatten(0, (-1, count))
    every, done = torch.arange(len(order), device=order.device), followed.sources[:, None]
    for rank in range(count):
        at = every, order[:, rank]
        done = patches.paste(done, sources[at][:, None], corner[at], size[at], on[at])
    return Followed(followed.size, followed.height, followed.width, done[:, 0], followed.moves, followed.erases)
