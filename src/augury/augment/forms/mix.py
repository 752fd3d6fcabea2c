"""Mix: a weighted sum of each image and its partner."""

from typing import NamedTuple

import torch
from torch import Tensor


class Mix(NamedTuple):
    """weight: float32 [n], that of the row's own image. labels: bool [n], whether the labels are mixed with it."""

    weight: Tensor
    labels: Tensor


def mix(images: Tensor, others: Tensor, weight: Tensor) -> Tensor:
    """images x weight + others x (1 - weight), [n,C,H,W]; uint8 images are rounded to the nearest level."""
    own = weight[:, None, None, None]
    if images.dtype == torch.uint8:
        mixed = images.to(torch.float32) * own + others.to(torch.float32) * (1 - own)
        return (mixed + 0.5).clamp(0, 255).to(torch.uint8)
    own = own.to(images.dtype)
    return images * own + others * (1 - own)
