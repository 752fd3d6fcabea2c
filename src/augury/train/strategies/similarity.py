"""Differences between two views' outputs: divergences of predictions and distances of features.

Everything is float32 from log-softmax on, whatever the network's precision: in half precision a probability below 6e-8
would be 0 and its logarithm infinite. Identical views give exactly 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Similarity = Literal["kl", "euclidean", "both"]


def log_probabilities(outputs: Tensor) -> Tensor:
    """float32 log-softmax over the classes of logits [B,D], or over the channels of maps [B,D,H,W]."""
    return functional.log_softmax(outputs.float(), 1)


def kl(target: Tensor, prediction: Tensor) -> Tensor:
    """KL(target || prediction) per row, [B], in nats, from log-probabilities; for maps, the mean over positions."""
    return _per_row(target.exp() * (target - prediction))


def symmetric_kl(first: Tensor, second: Tensor, *, detached: bool = False) -> Tensor:
    """KL(first || second) + KL(second || first) per row, from log-probabilities.

    detached: the gradient flows through the second argument of each KL only, as in the released code of augmentation
    invariant training. The value is the same; the gradient lacks the part through the targets.
    """
    if detached:
        return kl(first.detach(), second) + kl(second.detach(), first)
    # (p - q)(log p - log q) is never negative, element by element, whatever the rounding.
    return _per_row((first.exp() - second.exp()) * (first - second))


def euclidean(first: Tensor, second: Tensor) -> Tensor:
    """The Euclidean distance per row, [B], of logits, features or whole maps; its gradient is 0 where they are equal."""
    return torch.linalg.vector_norm((first.float() - second.float()).flatten(1), dim=1)


def jensen_shannon(logs: Sequence[Tensor]) -> Tensor:
    """The Jensen-Shannon divergence per row, [B], of distributions given as log-probabilities; at most the log of their number.

    The mean of KL(p_i || m) with m the mean distribution. The largest log-probability of each class is subtracted first,
    so that the mean of equal distributions is exactly that distribution.
    """
    stacked = torch.stack(list(logs))
    relative = stacked - stacked.max(0).values.detach()
    mixture = relative.exp().mean(0).log()
    return torch.stack([_per_row(log.exp() * (part - mixture)) for log, part in zip(logs, relative, strict=True)]).mean(0)


@dataclass(frozen=True)
class Divergence:
    """The distance chosen by `similarity`: `kl` (symmetric, of the softmax), `euclidean`, or `both`, their sum. See `symmetric_kl`
    for `detached`, which does not affect the Euclidean distance."""

    similarity: Similarity = "kl"
    detached: bool = False

    def __call__(self, first: Tensor, second: Tensor) -> Tensor:
        """The distance per row, [B], between outputs of the same shape."""
        if self.similarity == "euclidean":
            return euclidean(first, second)
        divergence = symmetric_kl(log_probabilities(first), log_probabilities(second), detached=self.detached)
        return divergence if self.similarity == "kl" else divergence + euclidean(first, second)


def _per_row(values: Tensor) -> Tensor:
    """The sum over dimension 1, then the mean over positions, if there are any."""
    summed = values.sum(1)
    return summed if summed.ndim == 1 else summed.flatten(1).mean(1)
