"""MNIST-Correlation: parity of MNIST digits, tied to a zigzag in training."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from augury.core import registry
from augury.core.errors import InputError
from augury.core.registry import register
from augury.train.data.correlation import correlated
from augury.train.data.dataset import Dataset

_PUBLISHED = (19_800, 200)
_FEWER = (18_810, 190)


@register("dataset", "mnist_correlation", source="Goel et al. 2021, arXiv:2008.06775, MNIST-Correlation (made here from MNIST)")
def mnist_correlation(*, data_dir: str | None = None) -> Dataset:
    """Even or odd MNIST digits: in training 99 % of even ones are clean and 99 % of odd ones crossed by a zigzag.

    With MNIST's 60,000 training images the published 19,800 + 200 per parity; with fewer 18,810 + 190; with fewer still
    the same shares of what there is. The rest is for validation, both it and the test part with every digit in both
    versions (9,852 even and 10,148 odd test images). The zigzags are drawn here, so they are not the published files' bit
    for bit.
    """
    images, digits, test_images, test_digits = _mnist(data_dir)
    majority, minority, note = sizes(int(torch.bincount(digits % 2, minlength=2).min()))
    return correlated("mnist_correlation", (images, digits), (test_images, test_digits), majority, minority, note)


def sizes(available: int) -> tuple[int, int, tuple[str, ...]]:
    """Majority and minority of each parity and what is to be said of them, with `available` images of the rarer parity."""
    if available > sum(_PUBLISHED):
        return *_PUBLISHED, ()
    if available > sum(_FEWER):
        majority, minority = _FEWER
    else:
        minority = max(1, int(0.95 * available) // 100)
        majority = int(0.95 * available) - minority
    return (
        majority,
        minority,
        (f"{majority:,} + {minority:,} training images of each parity; with all of MNIST it is 19,800 + 200",),
    )


def _mnist(data_dir: str | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training images and digits in MNIST's own order, then the test part's; images uint8 [N,1,28,28]."""
    if data_dir is None:
        raise InputError(
            "--data-dir: mnist_correlation is made from MNIST; say where it is (D/mnist/train.npz, or torchvision's files)"
        )
    if registry.has("dataset", "mnist"):
        from augury.train.data.dataset import load

        found = load("mnist", data_dir=data_dir)
        order = torch.argsort(torch.cat([found.train.ids, found.validation.ids]))
        images = torch.cat([found.train.images, found.validation.images])[order]
        digits = torch.cat([found.train.labels, found.validation.labels])[order]
        return images, digits, found.test.images, found.test.labels
    parts = []
    for name in ("train", "test"):
        path = Path(data_dir) / "mnist" / f"{name}.npz"
        try:
            with np.load(path, allow_pickle=False) as arrays:
                x, y = arrays["x"], arrays["y"]
        except (OSError, KeyError, ValueError):
            raise InputError(f"--data-dir {data_dir}: {path} is not there, or has no arrays x and y") from None
        grey = x[..., 0] if x.ndim == 4 else x
        parts += [torch.from_numpy(grey.copy())[:, None], torch.from_numpy(y.astype(np.int64))]
    return parts[0], parts[1], parts[2], parts[3]
