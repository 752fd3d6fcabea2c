"""Normalising: pixels to values of mean 0 and deviation 1 per channel, and back."""

import torch
from torch import Tensor

from augury.core.devices import constant


def normalised(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """uint8 [B,C,H,W] to float32: (x / 255 - mean) / std per channel."""
    scale, offset = coefficients(mean, std, images.device)
    return images.to(torch.float32) * scale[:, None, None] + offset[:, None, None]


def restored(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """float [B,C,H,W] converted back to the nearest uint8 pixels, for display."""
    scale, offset = (part[:, None, None] for part in coefficients(mean, std, images.device))
    return ((images - offset) / scale + 0.5).clamp(0, 255).to(torch.uint8)


def coefficients(mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """float32 [C] each: what a pixel is multiplied by, and what is added then."""
    middle, deviation = (constant(part, torch.float32, device) for part in (mean, std))
    return 1 / (255 * deviation), -middle / deviation
