"""The loss on augmented features, and its expansion about their mean (Dao et al. 2019, section 4; He et al. 2019, eq. 7).

Features of augmented images are [B,T,D] for T transformations of each of B images; weights W are [D,C], labels int64 [B].
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

# The largest third central moment of a variable in [0, 1], that of a Bernoulli variable with p = 1/2 - 1/sqrt(12).
_THIRD = 1 / (6 * math.sqrt(3))


def softmax_hessian(logits: Tensor) -> Tensor:
    """[..., C, C]: diag(p) - p p^T, the Hessian of the cross-entropy with respect to the logits, for any label."""
    p = logits.softmax(-1)
    return torch.diag_embed(p) - p[..., :, None] * p[..., None, :]


def exact(weights: Tensor, features: Tensor, labels: Tensor) -> Tensor:
    """[B]: the mean cross-entropy over the transformations."""
    batch, count, _ = features.shape
    losses = cross_entropy((features @ weights).flatten(0, 1), labels.repeat_interleave(count), reduction="none")
    return losses.view(batch, count).mean(1)


def first_order(weights: Tensor, features: Tensor, labels: Tensor) -> Tensor:
    """[B]: the cross-entropy of the mean feature (feature averaging); at most `exact`, by Jensen."""
    return cross_entropy(features.mean(1) @ weights, labels, reduction="none")


def variance_term(weights: Tensor, features: Tensor) -> Tensor:
    """[B]: half the mean of d^T H d, where d is the logits' deviation from their mean and H the Hessian there; needs no labels.

    d^T (diag(p) - p p^T) d is the variance of d's entries under p.
    """
    logits = features @ weights
    middle = logits.mean(1, keepdim=True)
    p, d = middle.softmax(-1), logits - middle
    mean = (p * d).sum(-1)
    return ((p * d * d).sum(-1) - mean * mean).mean(1) / 2


def second_order(weights: Tensor, features: Tensor, labels: Tensor) -> Tensor:
    """[B]: feature averaging plus variance regularisation."""
    return first_order(weights, features, labels) + variance_term(weights, features)


def regulariser_alone(weights: Tensor, features: Tensor, labels: Tensor) -> Tensor:
    """[B]: the loss on each image's original features, which come first, plus the variance term."""
    return cross_entropy(features[:, 0] @ weights, labels, reduction="none") + variance_term(weights, features)


def remainder_bound(weights: Tensor, features: Tensor) -> Tensor:
    """[B]: an upper bound on |exact - second_order|: the mean over the transformations of r^3 / (36 sqrt 3).

    r is the range of d's entries. The third derivative of log-sum-exp along d is the third central moment of d's entries under
    some p, and by Taylor's theorem a sixth of its largest value bounds the remainder.
    """
    logits = features @ weights
    d = logits - logits.mean(1, keepdim=True)
    return ((d.amax(-1) - d.amin(-1)) ** 3).mean(1) * _THIRD / 6


def fit(
    objective: Callable[[Tensor], Tensor], shape: tuple[int, int], decay: float, *, steps: int = 100, start: Tensor | None = None
) -> Tensor:
    """float64 [D,C]: weights that minimise `objective` plus decay / 2 times their squared norm, by L-BFGS from `start` or 0."""
    weights = (torch.zeros(shape, dtype=torch.float64) if start is None else start.clone()).requires_grad_()
    optimiser = torch.optim.LBFGS(
        [weights], max_iter=steps, tolerance_grad=1e-7, tolerance_change=1e-10, history_size=12, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = objective(weights) + decay / 2 * weights.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    return weights.detach()
