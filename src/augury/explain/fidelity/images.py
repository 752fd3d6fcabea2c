"""Images to compare operations on: photographs, and edge cases for look-up tables and statistics."""

import functools

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import Tensor

SIZES = ((1, 1), (1, 7), (2, 9), (3, 3), (17, 40), (32, 32), (224, 224))
GREY = (19595, 38470, 7471)


def images_of(height: int, width: int, channels: int) -> dict[str, Tensor]:
    """Named uint8 images [C,H,W]: two photographs, noise, one level, two levels, two adjacent levels, one flat channel."""
    random = np.random.default_rng(height * 1000 + width)
    shape = (3, height, width)
    noise = random.integers(0, 256, shape)
    china, flower = (_photograph(k, height, width) for k in (0, 1))
    flat = china.copy()
    flat[1] = 90
    found = {
        "china": china,
        "flower": flower,
        "noise": noise,
        "one level": np.full(shape, 113),
        "two levels": np.where(noise < 80, 7, 201),
        "two adjacent levels": np.where(noise < 128, 100, 101),
        "one flat channel": flat,
    }
    return {name: torch.from_numpy(_channels(array.astype(np.uint8), channels)) for name, array in found.items()}


def _channels(image: np.ndarray, channels: int) -> np.ndarray:
    if channels == 3:
        return image
    weighted = sum(weight * image[c].astype(np.int64) for c, weight in enumerate(GREY))
    return ((weighted + 0x8000) >> 16).astype(np.uint8)[None]


@functools.cache
def _photograph(number: int, height: int, width: int) -> np.ndarray:
    """The central square of one of scikit-learn's sample photographs, resized."""
    image = Image.fromarray(_samples()[number])
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    small = image.crop((left, top, left + side, top + side)).resize((width, height), Image.Resampling.BILINEAR)
    return np.array(small).transpose(2, 0, 1).copy()


@functools.cache
def _samples() -> list[np.ndarray]:
    return list(load_sample_images().images)
