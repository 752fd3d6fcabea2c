"""Image statistics: histograms per channel, and Pillow's grey."""

import torch
from torch import Tensor


def histogram(images: Tensor, size: Tensor) -> Tensor:
    """int64 [n,C,256]: how often each level occurs in the valid rows and columns of uint8 [n,C,H,W]."""
    n, channels, height, width = images.shape
    rows = torch.arange(height, device=images.device)[:, None] < size[:, 0, None, None]
    columns = torch.arange(width, device=images.device) < size[:, 1, None, None]
    valid = (rows & columns).reshape(n, 1, height * width).expand(n, channels, height * width).to(torch.int64)
    counts = torch.zeros(n, channels, 256, dtype=torch.int64, device=images.device)
    return counts.scatter_add_(2, images.reshape(n, channels, height * width).to(torch.int64), valid)


def grey(images: Tensor) -> Tensor:
    """uint8 [n,1,H,W]: Pillow's mode L, in 16-bit fixed point; grey images are returned unchanged."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.to(torch.int32).unbind(1)
    return ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16).to(torch.uint8)[:, None]
