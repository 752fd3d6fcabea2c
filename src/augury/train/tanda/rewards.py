"""The cost of a transformation sequence, step by step, and the learning signal for each action.

Ratner et al. 2017 (TANDA, arXiv:1709.01643), section 4, with the released code's incremental rewards.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

REFERENCE_FLOOR = 1e-6


def discount_matrix(steps: int, discount: float, *, device: torch.device | str = "cpu") -> Tensor:
    """float32 [T,T], lower triangular in time: entry (s, t) is discount^(s-t) for s >= t, so that r @ matrix = returns."""
    place = torch.arange(steps, device=device)
    gap = place[:, None] - place
    return torch.where(gap >= 0, float(discount) ** gap.clamp(min=0), 0.0)


def increments(costs: Tensor) -> Tensor:
    """The cost added by each step, float [N,T], from costs [N,T+1] of the data after 0 .. T steps; the sum telescopes."""
    return costs[:, 1:] - costs[:, :-1]


def advantages(costs: Tensor, discount: float) -> Tensor:
    """The discounted future cost of each action minus its mean over the batch, float [N,T], from costs float [N,T+1].

    Positive is worse than average. The diversity cost of unchanged data is the same for all sequences, so subtracting the mean
    removes it.
    """
    returns = increments(costs) @ discount_matrix(costs.shape[1] - 1, discount, device=costs.device)
    return returns - returns.mean(0)


def realism_costs(logits: Sequence[Tensor]) -> Tensor:
    """Cross-entropy of classifying each state as real, from the discriminator's logits [N] after 0 .. T steps: float [N,T+1]."""
    return torch.stack([functional.softplus(-each.float()) for each in logits], 1)


def diversity_costs(features: Sequence[Tensor], weight: float, floor: float) -> Tensor:
    """weight / (floor + mean squared distance to the untouched sample's features), float [N,T+1].

    Sequences that leave the data unchanged are penalised. `floor` bounds the cost of a sequence that ends in exactly the same data
    (two flips, a constant image); with the released 1e-6 such a cost is a thousand times the others', so that a single one
    dominates the gradient.
    """
    start = features[0].flatten(1).float()
    distance = torch.stack([(each.flatten(1).float() - start).square().mean(1) for each in features], 1)
    return weight / (floor + distance)
