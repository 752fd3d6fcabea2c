"""Normalising: pixels to values of mean 0 and deviation 1 per channel, and back."""

import torch
from torch import Tensor

from augury.core.devices import constant


def normalised(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """uint8 [B,C,H,W] to float32: (x / 255 - mean) / std per channel."""
    offset, scale = _coefficients(images, mean, std)
    return images.to(torch.float32) * scale + offset


def restored(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """float [B,C,H,W] back to the nearest uint8 pixels, for people to look at."""
    offset, scale = _coefficients(images, mean, std)
    return ((images - offset) / scale + 0.5).clamp(0, 255).to(torch.uint8)


def _coefficients(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    middle = constant(mean, torch.float32, images.device)[:, None, None]
    deviation = constant(std, torch.float32, images.device)[:, None, None]
    return -middle / deviation, 1 / (255 * deviation)
