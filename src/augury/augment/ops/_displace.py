"""Samples an image at displaced positions, for operations that move every pixel by a different amount."""

import torch
from torch import Tensor


def displaced(images: Tensor, row: Tensor, column: Tensor, size: Tensor) -> Tensor:
    """uint8 [n,C,H,W] read bilinearly at row, column (float64 [n,H,W], pixel indices); the border pixel is repeated,
    as the skimage functions of TANDA do with mode "edge". What lies outside the valid size stays."""
    height, width = images.shape[-2:]
    rows, columns = size[:, 0, None, None], size[:, 1, None, None]
    row = torch.minimum(row.clamp(min=0), (rows - 1).clamp(min=0).double())
    column = torch.minimum(column.clamp(min=0), (columns - 1).clamp(min=0).double())
    top, left = row.floor(), column.floor()
    dy, dx = (row - top)[:, None], (column - left)[:, None]

    def read(y: Tensor, x: Tensor) -> Tensor:
        y = torch.minimum(y.to(torch.int64), rows - 1).clamp(0, max(height - 1, 0))
        x = torch.minimum(x.to(torch.int64), columns - 1).clamp(0, max(width - 1, 0))
        index = (y * width + x).reshape(len(images), 1, height * width).expand(-1, images.shape[1], -1)
        return images.flatten(2).gather(2, index).reshape(images.shape).double()

    upper = read(top, left) * (1 - dx) + read(top, left + 1) * dx
    lower = read(top + 1, left) * (1 - dx) + read(top + 1, left + 1) * dx
    moved = (upper * (1 - dy) + lower * dy + 0.5).floor().clamp(0, 255).to(torch.uint8)
    y = torch.arange(height, device=images.device)[:, None]
    x = torch.arange(width, device=images.device)
    return torch.where(((y < rows) & (x < columns))[:, None], moved, images)
