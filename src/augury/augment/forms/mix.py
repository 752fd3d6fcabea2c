"""Mix: a weighted sum of each image and its partner."""

from typing import NamedTuple

import torch
from torch import Tensor


class Mix(NamedTuple):
    """keep: float32 [n], the weight of the row's own image. labels: bool [n], whether the labels are mixed with it."""

    keep: Tensor
    labels: Tensor


def mix(images: Tensor, others: Tensor, keep: Tensor) -> Tensor:
    """images x keep + others x (1 - keep), [n,C,H,W]; uint8 images are rounded to the nearest level."""
    weight = keep[:, None, None, None]
    if images.dtype == torch.uint8:
        mixed = images.to(torch.float32) * weight + others.to(torch.float32) * (1 - weight)
        return (mixed + 0.5).clamp(0, 255).to(torch.uint8)
    weight = weight.to(images.dtype)
    return images * weight + others * (1 - weight)
