"""PIL images to tensors of pixels and back."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from augury.core.errors import InputError


def from_pil(image: Image.Image) -> Tensor:
    """uint8 [C,H,W]: one channel for mode L, otherwise three, from `convert("RGB")`, which drops an alpha channel.

    Raises InputError for modes with more than 8 bits, which that conversion would clip to white.
    """
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        raise InputError(
            f"images: a PIL image of mode {image.mode} has more than 8 bits; scale it to 0..255 and convert it to L first"
        )
    array = np.array(image if image.mode == "L" else image.convert("RGB"))
    return torch.from_numpy(array[None] if image.mode == "L" else array.transpose(2, 0, 1).copy())


def to_pil(pixels: Tensor) -> Image.Image:
    """Mode L or RGB from uint8 [1,H,W] or [3,H,W]."""
    array = pixels.numpy()
    return Image.fromarray(array[0] if len(array) == 1 else array.transpose(1, 2, 0).copy())
