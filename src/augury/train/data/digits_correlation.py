"""Digits with a spurious correlation, from scikit-learn's embedded handwriting."""

import torch

from augury.core.noise import Noise
from augury.core.registry import register
from augury.train.data.correlation import correlated
from augury.train.data.dataset import Dataset

_TEST, _MAJORITY, _MINORITY = 300, 216, 24


@register("dataset", "digits_correlation", source="Augury's own, after Goel et al. 2021, arXiv:2008.06775, MNIST-Correlation")
def digits_correlation() -> Dataset:
    """Even or odd, 8x8: in training 90 % of even digits are clean and 90 % of odd ones crossed by a zigzag; needs no files.

    Of each parity 216 and 24 training images, 300 test digits in both versions, and the rest for validation in both.
    """
    from sklearn.datasets import load_digits

    found = load_digits()
    images = (torch.tensor(found.images, dtype=torch.float32)[:, None] * (255 / 16)).round().to(torch.uint8)
    digits = torch.tensor(found.target, dtype=torch.int64)
    # Neighbours in the file come from one writer: shuffled, so that every part has them all.
    order = torch.argsort(Noise.of(0, torch.arange(len(digits))).fold("digits_correlation").bits(1)[:, 0], stable=True)
    images, digits = images[order], digits[order]
    tested = torch.zeros(len(digits), dtype=torch.bool)
    for parity in (0, 1):
        tested[(digits % 2 == parity).nonzero()[:_TEST, 0]] = True
    return correlated(
        "digits_correlation", (images[~tested], digits[~tested]), (images[tested], digits[tested]), _MAJORITY, _MINORITY
    )  # fmt: skip
