"""Digits with a spurious correlation, made from the handwritten digits of scikit-learn."""

import torch

from augury.core.noise import Noise
from augury.core.registry import register
from augury.train.data.correlation import correlated
from augury.train.data.dataset import Dataset

_TEST, _MAJORITY, _MINORITY = 300, 216, 24


@register("dataset", "digits_correlation", source="Augury's own, after Goel et al. 2021, arXiv:2008.06775, MNIST-Correlation")
def digits_correlation() -> Dataset:
    """Even or odd digits, 8x8: in training 90 % of even ones are clean and 90 % of odd ones crossed by a zigzag; needs no files.

    Each parity has 216 + 24 training images and 300 test digits; the other digits are for validation. Validation and test parts
    have every digit in both versions.
    """
    from sklearn.datasets import load_digits

    found = load_digits()
    images = (torch.tensor(found.images, dtype=torch.float32)[:, None] * (255 / 16)).round().to(torch.uint8)
    digits = torch.tensor(found.target, dtype=torch.int64)
    # Shuffled, since neighbours in the file come from one writer, and every part should have all writers.
    order = torch.argsort(Noise.of(0, torch.arange(len(digits))).fold("digits_correlation").bits(1)[:, 0], stable=True)
    images, digits = images[order], digits[order]
    tested = torch.zeros(len(digits), dtype=torch.bool)
    for parity in (0, 1):
        tested[(digits % 2 == parity).nonzero()[:_TEST, 0]] = True
    return correlated(
        "digits_correlation", (images[~tested], digits[~tested]), (images[tested], digits[tested]), _MAJORITY, _MINORITY
    )  # fmt: skip
