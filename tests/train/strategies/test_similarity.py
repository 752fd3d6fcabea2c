"""Divergences and distances, by hand, against SciPy and against torch.nn.functional."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy
from torch import Tensor
from torch.nn import functional

from augury.train.strategies.similarity import Divergence, euclidean, jensen_shannon, kl, log_probabilities, symmetric_kl

CHOICES = [
    Divergence("kl"),
    Divergence("kl", detached=True),
    Divergence("euclidean"),
    Divergence("both"),
    Divergence("both", detached=True),
]


def logits(seed: int, rows: int = 7, classes: int = 5, spread: float = 3.0) -> Tensor:
    return torch.randn(rows, classes, generator=torch.Generator().manual_seed(seed)) * spread


def test_kl_by_hand() -> None:
    first, second = torch.tensor([[0.75, 0.25]]).log(), torch.tensor([[0.5, 0.5]]).log()
    assert kl(first, second).item() == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5), rel=1e-6)
    assert kl(second, first).item() == pytest.approx(0.5 * math.log(4 / 3), rel=1e-6)
    assert symmetric_kl(first, second).item() == pytest.approx(0.25 * math.log(3), rel=1e-6)


def test_kl_against_torch_and_scipy() -> None:
    first, second = log_probabilities(logits(0)), log_probabilities(logits(1))
    expected = functional.kl_div(second, first, log_target=True, reduction="none").sum(1)
    assert torch.allclose(kl(first, second), expected, rtol=1e-5)
    p, q = first.double().exp().numpy(), second.double().exp().numpy()
    both = entropy(p, q, axis=1) + entropy(q, p, axis=1)
    for detached in (False, True):
        np.testing.assert_allclose(symmetric_kl(first, second, detached=detached).numpy(), both, rtol=1e-5)


def test_the_symmetric_divergence_is_symmetric_bit_for_bit_and_never_negative() -> None:
    first, second = log_probabilities(logits(0, 500, spread=0.01)), log_probabilities(logits(1, 500, spread=0.01))
    assert torch.equal(symmetric_kl(first, second), symmetric_kl(second, first))
    assert (symmetric_kl(first, second) >= 0).all()


def test_the_detached_gradient_lacks_the_part_through_the_targets() -> None:
    """Both gradients by hand: detached it is p - q; in full, the gradient of KL(p || sg q) by p is added."""

    def gradient(value: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        a = logits(0).requires_grad_()
        value(log_probabilities(a), log_probabilities(logits(1))).sum().backward()
        assert a.grad is not None
        return a.grad

    detached = gradient(lambda p, q: symmetric_kl(p, q, detached=True))
    assert torch.allclose(detached, logits(0).softmax(1) - logits(1).softmax(1), atol=1e-6)
    through_target = gradient(lambda p, q: kl(p, q.detach()))
    assert torch.allclose(gradient(symmetric_kl), detached + through_target, atol=1e-5)
    assert through_target.abs().max() > 0.1


@pytest.mark.parametrize("apart", CHOICES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(6, 10), (6, 10, 4, 4)], ids=["logits", "maps"])
def test_identical_views_give_exactly_nothing(apart: Divergence, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    first = (torch.randn(shape, generator=torch.Generator().manual_seed(3)) * 9).to(dtype).requires_grad_()
    second = first.detach().clone().requires_grad_()
    value = apart(first, second)
    assert value.shape == (6,) and (value == 0).all()
    value.sum().backward()
    for part in (first, second):
        # Detached, p - p is formed as p - p * (the sum of p), which rounds.
        assert part.grad is not None and part.grad.abs().max() <= (1e-6 if apart.detached else 0)


@pytest.mark.parametrize("apart", CHOICES, ids=str)
def test_half_precision_neither_underflows_nor_overflows(apart: Divergence) -> None:
    """exp(-100) is 0 in half precision, its logarithm -inf; 60000 squared is beyond it."""
    first = torch.tensor([[100.0, 0.0], [60000.0, -60000.0]], dtype=torch.float16, requires_grad=True)
    second = torch.tensor([[0.0, 100.0], [-60000.0, 60000.0]], dtype=torch.float16)
    value = apart(first, second)
    expected = {"kl": 200.0, "euclidean": 100 * math.sqrt(2), "both": 200 + 100 * math.sqrt(2)}[apart.similarity]
    assert value.dtype == torch.float32 and value[0].item() == pytest.approx(expected, rel=1e-6)
    assert value.isfinite().all()
    value[0].backward()
    assert first.grad is not None and first.grad.isfinite().all()
    assert first.grad[0].abs().max() > 0.5, "the gradient that pulls confident, opposed predictions together is gone"


def test_euclidean_against_numpy() -> None:
    a, b = logits(0).reshape(7, 5, 1, 1), logits(1).reshape(7, 5, 1, 1)
    np.testing.assert_allclose(euclidean(a, b).numpy(), np.linalg.norm((a - b).numpy().reshape(7, -1), axis=1), rtol=1e-6)


def test_divergence_of_maps_is_the_mean_over_positions() -> None:
    a, b = (torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    p, q = a.softmax(1).double().numpy(), b.softmax(1).double().numpy()
    expected = (entropy(p, q, axis=1) + entropy(q, p, axis=1)).mean((1, 2))
    np.testing.assert_allclose(Divergence("kl")(a, b).numpy(), expected, rtol=1e-5)


def test_jensen_shannon_against_scipy_and_its_bound() -> None:
    logs = [log_probabilities(logits(seed)) for seed in range(3)]
    p = [log.double().exp().numpy() for log in logs]
    two = jensenshannon(p[0], p[1], axis=1) ** 2
    np.testing.assert_allclose(jensen_shannon(logs[:2]).numpy(), two, rtol=1e-4, atol=1e-7)
    mean = sum(p) / 3
    np.testing.assert_allclose(jensen_shannon(logs).numpy(), sum(entropy(q, mean, axis=1) for q in p) / 3, rtol=1e-4)
    apart = [log_probabilities(400 * torch.eye(3)[k : k + 1]) for k in range(3)]
    assert jensen_shannon(apart).item() == pytest.approx(math.log(3), rel=1e-6)


def test_jensen_shannon_of_identical_views_is_exactly_0_with_no_gradient() -> None:
    views = [logits(4, 50).requires_grad_() for _ in range(3)]
    value = jensen_shannon([log_probabilities(v) for v in views])
    assert (value == 0).all()
    value.sum().backward()
    assert all(v.grad is not None and v.grad.abs().max() < 1e-7 for v in views)


def test_jensen_shannons_gradient_is_that_of_its_value() -> None:
    values = logits(0, 2, 3).double().requires_grad_()

    def divergence(a: Tensor) -> Tensor:
        parts = torch.stack([a, a.flip(0), a * 0.5]).softmax(2)
        mean = parts.mean(0)
        return (parts * (parts / mean).log()).sum(2).mean()

    (expected,) = torch.autograd.grad(divergence(values), values)
    other = values.detach().float().requires_grad_()
    made = jensen_shannon([log_probabilities(v) for v in (other, other.flip(0), other * 0.5)]).mean()
    (found,) = torch.autograd.grad(made, other)
    assert torch.allclose(found.double(), expected, atol=1e-6)
