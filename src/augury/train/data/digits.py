"""Digits: the handwritten digits that come with scikit-learn."""

import numpy as np
import torch

from augury.core.registry import register
from augury.train.data.dataset import Dataset, Split


@register(
    "dataset", "digits", source="Alpaydin and Kaynak 1998, UCI Optical Recognition of Handwritten Digits; scikit-learn load_digits"
)
def digits() -> Dataset:
    """Real handwritten digits, enlarged from 8x8 to 32x32: 200 for training."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    found = load_digits()
    images = torch.tensor(found.images, dtype=torch.float32)[:, None] * (255 / 16)
    images = torch.nn.functional.interpolate(images, size=(32, 32), mode="bilinear").round().clamp(0, 255).to(torch.uint8)
    labels, rows = torch.tensor(found.target), np.arange(len(found.target))
    train, rest = train_test_split(rows, train_size=200, stratify=found.target, random_state=0)
    held, test = train_test_split(rest, train_size=200, stratify=found.target[rest], random_state=0)

    def part(chosen: np.ndarray) -> Split:
        return Split(images[chosen], labels[chosen], torch.tensor(chosen))

    pixels = images[train].float() / 255
    return Dataset(
        "digits", tuple(map(str, range(10))), part(train), part(held), part(test), (pixels.mean().item(),), (pixels.std().item(),)
    )
