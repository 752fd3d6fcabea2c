"""The order in which an epoch's images are trained on, and how it is split into steps."""

from collections.abc import Iterator

import torch
from torch import Tensor

from augury.core.noise import Noise


def epoch_order(ids: Tensor, seed: int, epoch: int) -> Tensor:
    """Row numbers of an epoch in the order they are trained on: sorted by hashed address, so that no state needs saving."""
    return torch.argsort(Noise.of(seed, ids, epoch=epoch).fold("order").bits(1)[:, 0], stable=True)


def batches(order: Tensor, batch_size: int) -> Iterator[Tensor]:
    """The rows of each step. A last batch of a single image is dropped: it has no mixing partner and no batch statistics."""
    for rows in order.split(batch_size):
        if len(rows) > 1 or len(order) == 1:
            yield rows
