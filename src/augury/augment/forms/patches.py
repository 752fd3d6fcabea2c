"""Patches: cuts windows out of images and pastes them over images."""

import torch
from torch import Tensor


def cut(images: Tensor, box: Tensor, side: int) -> Tensor:
    """[n,C,side,side]: the boxes (int64 [n,4]: top, left, bottom, right) of images [n,C,H,W], in the top left corner.

    What lies beyond a box is 0.
    """
    n, channels, height, width = images.shape
    step = torch.arange(side, device=images.device)
    y, x = box[:, :1] + step, box[:, 1:2] + step
    inside = (y < box[:, 2:3])[:, :, None] & (x < box[:, 3:])[:, None]
    index = y.clamp(0, height - 1)[:, :, None] * width + x.clamp(0, width - 1)[:, None]
    read = images.flatten(2).gather(2, index.flatten(1)[:, None].expand(-1, channels, -1)).reshape(n, channels, side, side)
    return torch.where(inside[:, None], read, 0)


def paste(images: Tensor, patches: Tensor, corner: Tensor, size: Tensor, on: Tensor) -> Tensor:
    """images [n,C,H,W] with patches [n,C,P,P] (their first `size` rows and columns) at `corner` (int64 [n,2], may lie
    outside) where `on` (bool [n])."""
    n, channels, height, width = images.shape
    y = torch.arange(height, device=images.device) - corner[:, :1]
    x = torch.arange(width, device=images.device) - corner[:, 1:]
    rows = (y >= 0) & (y < size[:, :1]) & on[:, None]
    columns = (x >= 0) & (x < size[:, 1:])
    side = patches.shape[-1]
    index = y.clamp(0, side - 1)[:, :, None] * side + x.clamp(0, side - 1)[:, None]
    read = patches.flatten(2).gather(2, index.flatten(1)[:, None].expand(-1, channels, -1)).reshape(images.shape)
    return torch.where((rows[:, :, None] & columns[:, None])[:, None], read, images)
