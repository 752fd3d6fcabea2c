"""The over-parametrised linear model (Wu et al. 2020, arXiv:2005.00695, section 3): ridge regression and added points.

Inputs X [n,p] have rank below p; labels are X beta plus noise; the estimator is (X^T X + penalty I)^-1 X^T Y.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


def ridge(inputs: Tensor, labels: Tensor, penalty: float) -> Tensor:
    """The ridge estimator, float64 [p] (or [p,k] for labels [n,k]), computed exactly in the dual, which is cheap for p > n."""
    kernel = inputs @ inputs.T + penalty * torch.eye(len(inputs), dtype=inputs.dtype)
    return inputs.T @ torch.linalg.solve(kernel, labels)


def off_span(inputs: Tensor) -> Tensor:
    """float64 [p,p]: the projector onto the orthogonal complement of the rows of X."""
    _, values, right = torch.linalg.svd(inputs, full_matrices=False)
    basis = right[values > values.max() * 1e-10]
    return torch.eye(inputs.shape[1], dtype=inputs.dtype) - basis.T @ basis


def gain(point: Tensor, label: float, beta: Tensor, penalty: float) -> float:
    """The exact reduction of |estimate - beta|^2 by adding a point orthogonal to the data with its label.

    Along the point's direction the estimate was 0 and becomes |z| y / (|z|^2 + penalty); nothing else changes. To first
    order in 1 / penalty this is 2 <z, beta> y / penalty, hence for consistent labels 2 <z, beta>^2 / penalty.
    """
    length = point.norm().item()
    if length == 0:
        return 0.0
    along = (point @ beta).item() / length
    return along**2 - (along - length * label / (length**2 + penalty)) ** 2


@dataclass(frozen=True)
class Problem:
    """A random problem of the paper's form: n points in a subspace of dimension `rank`, and beta in all p dimensions."""

    inputs: Tensor
    beta: Tensor

    @staticmethod
    def draw(n: int, p: int, rank: int, generator: torch.Generator) -> "Problem":
        basis = torch.linalg.qr(torch.randn(p, rank, generator=generator, dtype=torch.float64)).Q
        inputs = torch.randn(n, rank, generator=generator, dtype=torch.float64) @ basis.T
        beta = torch.randn(p, generator=generator, dtype=torch.float64)
        return Problem(inputs, beta / beta.norm())


def label_invariant(point: Tensor, off: Tensor, beta: Tensor, generator: torch.Generator, length: float) -> Tensor:
    """F x for a linear F that keeps the label, x^T beta = (F x)^T beta: a step out of the span whose effect on <., beta>
    outside the span is cancelled inside it."""
    outside = off @ torch.randn(len(beta), generator=generator, dtype=torch.float64)
    step = outside / outside.norm() * length
    within = beta - off @ beta
    return point + step - within * (step @ beta) / within.square().sum()


def same_class_mixing(labels: Tensor, generator: torch.Generator) -> Tensor:
    """float64 [n,n]: row k mixes point k with another of its class (itself if there is none) by alpha uniform in [0, 1]."""
    n = len(labels)
    mixing = torch.zeros(n, n, dtype=torch.float64)
    for row in range(n):
        others = [k for k in (labels == labels[row]).nonzero()[:, 0].tolist() if k != row]
        partner = others[int(torch.randint(len(others), (1,), generator=generator))] if others else row
        keep = torch.rand(1, generator=generator, dtype=torch.float64).item()
        mixing[row, row] += keep
        mixing[row, partner] += 1 - keep
    return mixing


def prediction_variance(inputs: Tensor, mixing: Tensor | None, queries: Tensor, decay: float) -> float:
    """The exact variance of predictions per unit of label noise, averaged over the queries.

    mixing [m,n]: rows added to the data, with labels mixed likewise. The penalty is `decay` times the number of rows, in which a
    row counts as the square of its weights' sum. Computed from moments, since there may be many more rows than dimensions.
    """
    gram, cross, count = inputs.T @ inputs, inputs.T, float(len(inputs))
    if mixing is not None:
        mixed = mixing @ inputs
        gram, cross = gram + mixed.T @ mixed, cross + mixed.T @ mixing
        count += mixing.sum(1).square().sum().item()
    penalised = gram + decay * count * torch.eye(len(gram), dtype=gram.dtype)
    influence = queries @ torch.linalg.solve(penalised, cross)
    return influence.square().sum(1).mean().item()
