"""PIL images to tensors of pixels and back.

Pillow keeps the channels of a pixel side by side, and tensors keep planes. Pillow takes channels apart and puts them together
several times as fast as NumPy transposes them; where an image is small, three calls cost more than one and transposed lines.
"""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from augury.core.errors import InputError

SMALL = 64 * 64  # pixels


def from_pil(image: Image.Image) -> Tensor:
    """uint8 [C,H,W]: one channel for mode L, otherwise three, from `convert("RGB")`, which drops an alpha channel.

    Raises InputError for modes with more than 8 bits, which that conversion would clip to white.
    """
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        raise InputError(
            f"images: a PIL image of mode {image.mode} has more than 8 bits; scale it to 0..255 and convert it to L first"
        )
    if image.mode == "L":
        return torch.from_numpy(np.array(image)[None])
    image = image if image.mode == "RGB" else image.convert("RGB")
    (width, height), planes = image.size, np.empty((3, *image.size[::-1]), np.uint8)
    if 0 < planes[0].size < SMALL:
        planes[:] = np.frombuffer(image.tobytes("raw", "RGB;L"), np.uint8).reshape(height, 3, width).transpose(1, 0, 2)
    elif planes.size:
        for plane, channel in zip(planes, "RGB", strict=True):
            plane.reshape(-1)[:] = np.frombuffer(image.tobytes("raw", channel), np.uint8)
    return torch.from_numpy(planes)


def to_pil(pixels: Tensor) -> Image.Image:
    """Mode L or RGB from uint8 [1,H,W] or [3,H,W]."""
    planes = pixels.numpy()
    if len(planes) == 1:
        return Image.fromarray(planes[0])
    if planes[0].size < SMALL:
        return Image.frombytes("RGB", planes.shape[:0:-1], planes.transpose(1, 0, 2).tobytes(), "raw", "RGB;L")
    return Image.merge("RGB", [Image.fromarray(plane) for plane in planes])
