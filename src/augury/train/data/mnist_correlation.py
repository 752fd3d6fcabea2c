"""MNIST-Correlation: parity of MNIST digits, correlated with a zigzag in training."""

import torch
from torch import Tensor

from augury.core import registry
from augury.core.errors import InputError
from augury.core.registry import register
from augury.train.data.correlation import correlated
from augury.train.data.dataset import Dataset
from augury.train.data.parts import Parts
from augury.train.data.zigzag import SIDE

_PUBLISHED = (19_800, 200)
_FEWER = (18_810, 190)


@register("dataset", "mnist_correlation", source="Goel et al. 2021, arXiv:2008.06775, MNIST-Correlation (made here from MNIST)")
def mnist_correlation(*, data_dir: str | None = None) -> Dataset:
    """Even or odd MNIST digits: in training 99 % of even ones are clean and 99 % of odd ones crossed by a zigzag.

    Each parity has the published 19,800 + 200 images if all 60,000 training images are available, 18,810 + 190 if there are fewer,
    or else the same shares of what there is. The rest is for validation; validation and test parts have every digit in both
    versions (9,852 even and 10,148 odd test images). The zigzags are drawn here, so they are not bit-identical to the published
    ones.
    """
    images, digits, test_images, test_digits = _mnist(data_dir)
    majority, minority, note = sizes(int(torch.bincount(digits % 2, minlength=2).min()))
    return correlated("mnist_correlation", (images, digits), (test_images, test_digits), majority, minority, note)


def sizes(available: int) -> tuple[int, int, tuple[str, ...]]:
    """Majority and minority of each parity, and notes on them, given `available` images of the rarer parity."""
    if available > sum(_PUBLISHED):
        return *_PUBLISHED, ()
    if available > sum(_FEWER):
        majority, minority = _FEWER
    else:
        minority = max(1, int(0.95 * available) // 100)
        majority = int(0.95 * available) - minority
    note = f"{majority:,} + {minority:,} training images of each parity; with all of MNIST it is 19,800 + 200"
    return majority, minority, (note,)


def _mnist(data_dir: str | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training images and digits in MNIST's own order, then the test part's; images uint8 [N,1,28,28]."""
    if data_dir is None:
        raise InputError(
            "--data-dir: mnist_correlation is made from MNIST; say where it is (D/mnist/train.npz, or torchvision's files)"
        )
    found: Parts = registry.get("dataset", "mnist")(data_dir=data_dir)
    parts = [found.train] if found.validation is None else [found.train, found.validation]
    images, digits = torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts])
    return _grey(images, data_dir), digits, _grey(found.test.images, data_dir), found.test.labels


def _grey(images: Tensor, data_dir: str) -> Tensor:
    """One channel of images that may have been saved with three equal ones; InputError unless they are grey 28x28."""
    if images.shape[-2:] != (SIDE, SIDE) or not bool((images == images[:, :1]).all()):
        raise InputError(f"--data-dir {data_dir}: its mnist has images that are not grey {SIDE}x{SIDE}")
    return images[:, :1]
