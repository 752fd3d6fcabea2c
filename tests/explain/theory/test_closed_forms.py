"""The closed forms of the theory against independent ones: sums, autograd, scikit-learn, Monte Carlo, and properties."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.explain.theory import chain, expansion, kernels, ridge

SEEDS = st.integers(0, 2**31 - 1)
quick = settings(max_examples=40, deadline=None)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


# The chain


def tables(seed: int, states: int, functions: int) -> tuple[Tensor, Tensor]:
    g = generator(seed)
    weights = torch.rand(functions, generator=g, dtype=torch.float64) + 0.1
    return torch.randint(states, (functions, states), generator=g), weights / weights.sum()


@quick
@given(SEEDS, st.integers(1, 7), st.integers(1, 4), st.floats(0.05, 1))
def test_the_absorbing_law_is_the_geometric_sum(seed: int, states: int, functions: int, stop: float) -> None:
    table, weights = tables(seed, states, functions)
    step, power, total = chain.transition(table, weights), torch.eye(states, dtype=torch.float64), torch.zeros(states, states)
    for length in range(800):
        total = total + stop * (1 - stop) ** length * power
        power = power @ step
    found = chain.absorbing(table, weights, stop)
    torch.testing.assert_close(found, total.double(), rtol=0, atol=1e-9)
    torch.testing.assert_close(found.sum(1), torch.ones(states, dtype=torch.float64))


def test_the_sampler_follows_the_law() -> None:
    table, weights = tables(3, 5, 3)
    count = 40_000
    ends = chain.sample(torch.full((count,), 2), table, weights, 0.4, Noise.of(1, torch.arange(count)))
    law = chain.absorbing(table, weights, 0.4)[2].numpy()
    seen = np.bincount(ends.numpy(), minlength=5)
    assert (seen[law == 0] == 0).all()
    assert chisquare(seen[law > 0], law[law > 0] * count).pvalue > 1e-4


def test_the_number_of_steps_is_geometric() -> None:
    table = torch.arange(1, 41)[None].clamp(max=39)  # one function, a step to the right: the state counts the steps
    count, stop = 30_000, 0.3
    ends = chain.sample(torch.zeros(count, dtype=torch.int64), table[:, :40], torch.ones(1), stop, Noise.of(0, torch.arange(count)))
    expected = np.array([stop * (1 - stop) ** k for k in range(12)])
    seen = np.bincount(ends.numpy(), minlength=40)[:12]
    assert chisquare([*seen, count - seen.sum()], [*(expected * count), (1 - expected.sum()) * count]).pvalue > 1e-4


@pytest.mark.parametrize(("weights", "stop"), [([0.5, 0.6], 0.5), ([-0.5, 1.5], 0.5), ([0.5, 0.5], 0.0), ([0.5, 0.5], 1.1)])
def test_chances_out_of_range_are_refused(weights: list[float], stop: float) -> None:
    with pytest.raises(ValueError, match="stop must lie"):
        chain.absorbing(torch.zeros(2, 3, dtype=torch.int64), torch.tensor(weights), stop)


def test_states_close_under_the_functions() -> None:
    image = torch.arange(9, dtype=torch.uint8).view(1, 1, 3, 3)
    turn = [lambda x: x.rot90(1, (-2, -1)), lambda x: x.flip(-1)]
    states, table = chain.close(image, turn)
    assert len(states) == 8 and states[0].equal(image[0])  # the symmetries of a square
    for k, function in enumerate(turn):
        assert states[table[k]].equal(function(states))
    with pytest.raises(InputError, match="more than 5"):
        chain.close(image, turn, most=5)
    with pytest.raises(InputError, match="the same"):
        chain.close(torch.cat([image, image]), turn)


@quick
@given(SEEDS, st.integers(1, 5))
def test_votes_with_counts_are_nearest_neighbours(seed: int, k: int) -> None:
    states, queries = normal(seed, 9, 2), normal(seed + 1, 4, 2)
    draws = torch.randint(9, (60,), generator=generator(seed))
    labels = torch.arange(9) % 3
    mass = torch.zeros(9, 3, dtype=torch.float64).index_put_((draws, labels[draws]), torch.ones(60).double(), accumulate=True)
    votes = chain.neighbour_votes(torch.cdist(queries, states), mass, 1 / 60)
    sole = KNeighborsClassifier(1).fit(states[draws].numpy(), labels[draws].numpy()).predict(queries.numpy())
    assert votes.argmax(1).tolist() == sole.tolist()
    share = mass.sum(1)[torch.cdist(queries, states)[0].argsort()].cumsum(0)[k].item()
    near = KNeighborsClassifier(int(share)).fit(states[draws].numpy(), labels[draws].numpy()).predict_proba(queries[:1].numpy())
    if near.shape[1] == 3:  # all classes were drawn
        found = chain.neighbour_votes(torch.cdist(queries[:1], states), mass, share / 60)
        np.testing.assert_allclose(found.numpy(), near, atol=1e-12)


# The expansion


@quick
@given(SEEDS, st.integers(2, 8), st.floats(0.1, 30))
def test_the_hessian_is_that_of_the_loss_for_every_label(seed: int, classes: int, scale: float) -> None:
    logits = normal(seed, classes) * scale
    found = expansion.softmax_hessian(logits)
    assert torch.linalg.eigvalsh(found).min() > -1e-12
    assert found.sum(1).abs().max() < 1e-12
    for label in range(classes):
        loss = lambda z, label=label: torch.nn.functional.cross_entropy(z[None], torch.tensor([label]))  # noqa: E731
        torch.testing.assert_close(torch.autograd.functional.hessian(loss, logits), found, rtol=0, atol=1e-10)


@quick
@given(SEEDS, st.floats(0.01, 20))
def test_the_expansion_keeps_its_bounds(seed: int, scale: float) -> None:
    features, weights, labels = normal(seed, 6, 5, 4), normal(seed + 1, 4, 3) * scale, torch.arange(6) % 3
    exact, first = expansion.exact(weights, features, labels), expansion.first_order(weights, features, labels)
    second = expansion.second_order(weights, features, labels)
    assert (exact - first).min() > -1e-10
    assert ((exact - second).abs() <= expansion.remainder_bound(weights, features) * (1 + 1e-9) + 1e-12).all()


def test_the_variance_term_is_the_quadratic_form() -> None:
    features, weights = normal(0, 3, 4, 5), normal(1, 5, 3)
    middle = features.mean(1) @ weights
    expected = []
    for b in range(3):
        d = features[b] @ weights - middle[b]
        hessian = expansion.softmax_hessian(middle[b])
        expected.append(sum((row @ hessian @ row).item() for row in d) / 4 / 2)
    torch.testing.assert_close(expansion.variance_term(weights, features), torch.tensor(expected, dtype=torch.float64))
    shifted = weights + normal(2, 5, 1)
    torch.testing.assert_close(expansion.variance_term(shifted, features), expansion.variance_term(weights, features))


@pytest.mark.parametrize(("objective", "order"), [(expansion.first_order, 2), (expansion.second_order, 3)])
def test_the_errors_shrink_by_their_order(objective: object, order: int) -> None:
    features, weights, labels = normal(4, 5, 3, 4), normal(5, 4, 3), torch.arange(5) % 3
    middle = features.mean(1, keepdim=True)

    def error(scale: float) -> Tensor:
        near = middle + scale * (features - middle)
        return (expansion.exact(weights, near, labels) - objective(weights, near, labels)).abs()  # type: ignore[operator]

    slope = ((error(0.02) / error(0.01)).log() / math.log(2)).mean().item()
    assert abs(slope - order) < 0.1


def test_features_that_stay_leave_nothing_to_expand() -> None:
    features = normal(0, 4, 1, 3).expand(4, 5, 3)
    weights, labels = normal(1, 3, 2), torch.tensor([0, 1, 0, 1])
    for objective in (expansion.first_order, expansion.second_order, expansion.regulariser_alone):
        torch.testing.assert_close(objective(weights, features, labels), expansion.exact(weights, features, labels))


def test_fit_finds_the_minimum() -> None:
    target = normal(0, 3, 2)
    found = expansion.fit(lambda w: (w - target).square().sum() / 2, (3, 2), decay=0.5)
    torch.testing.assert_close(found, target / 1.5, rtol=0, atol=1e-6)


# Kernels


def test_fourier_features_tend_to_the_kernel() -> None:
    inputs = normal(0, 12, 6)
    features = kernels.fourier_features(inputs, 0.1, 20_000, seed=3)
    expected = rbf_kernel(inputs.numpy(), gamma=0.1)
    np.testing.assert_allclose((features @ features.T).numpy(), expected, atol=5 * math.sqrt(1 / 20_000))


@quick
@given(SEEDS)
def test_averaging_features_averages_the_kernel(seed: int) -> None:
    # For the linear kernel exactly, for the Gaussian through the features.
    left, right = normal(seed, 3, 4, 5), normal(seed + 1, 2, 4, 5)
    brute = torch.tensor([[np.mean([[(a @ b).item() for a in x] for b in y]) for y in right] for x in left])
    torch.testing.assert_close(left.mean(1) @ right.mean(1).T, brute.double())
    own = np.mean([[rbf_kernel(left[:, s].numpy(), right[:, t].numpy(), gamma=0.2) for s in range(4)] for t in range(4)], (0, 1))
    np.testing.assert_allclose(kernels.averaged_kernel(left, right, 0.2).numpy(), own, atol=1e-12)


def test_alignment_is_one_for_the_labels_themselves_and_blind_to_scale() -> None:
    labels = torch.tensor([0, 0, 1, 2, 2])
    ideal = torch.nn.functional.one_hot(labels).double()
    assert kernels.alignment(ideal, labels) == pytest.approx(1)
    assert kernels.alignment(7 * ideal, labels) == pytest.approx(1)
    assert kernels.alignment(torch.ones(5, 1).double(), labels) == pytest.approx(3 / 5)  # |Y|^2 / (n |Y|) = 9 / 15


# The linear model


def problem(seed: int) -> tuple[ridge.Problem, Tensor, torch.Generator]:
    g = generator(seed)
    made = ridge.Problem.draw(8, 20, 5, g)
    return made, ridge.off_span(made.inputs), g


@quick
@given(SEEDS, st.floats(0.01, 10))
def test_ridge_is_scikit_learns(seed: int, penalty: float) -> None:
    made, _, _ = problem(seed)
    labels = made.inputs @ made.beta + normal(seed, 8)
    expected = Ridge(alpha=penalty, fit_intercept=False, solver="svd").fit(made.inputs.numpy(), labels.numpy()).coef_
    np.testing.assert_allclose(ridge.ridge(made.inputs, labels, penalty).numpy(), expected, atol=1e-8)


@quick
@given(SEEDS)
def test_the_projector_is_one(seed: int) -> None:
    made, off, _ = problem(seed)
    torch.testing.assert_close(off @ off, off)
    assert (made.inputs @ off).abs().max() < 1e-10 and off.trace().item() == pytest.approx(15)


@quick
@given(SEEDS, st.floats(0.1, 10), st.floats(0.1, 10), st.floats(-3, 3))
def test_the_gain_of_a_point_outside_the_span(seed: int, penalty: float, length: float, label: float) -> None:
    made, off, g = problem(seed)
    point = off @ torch.randn(20, generator=g, dtype=torch.float64)
    point = point / point.norm() * length
    labels = made.inputs @ made.beta
    before = (ridge.ridge(made.inputs, labels, penalty) - made.beta).square().sum()
    rows, more = torch.cat([made.inputs, point[None]]), torch.cat([labels, torch.tensor([label], dtype=torch.float64)])
    after = (ridge.ridge(rows, more, penalty) - made.beta).square().sum()
    assert (before - after).item() == pytest.approx(ridge.gain(point, label, made.beta, penalty), abs=1e-8)


@quick
@given(SEEDS)
def test_consistent_labels_outside_the_span_never_hurt(seed: int) -> None:
    made, off, g = problem(seed)
    point = off @ torch.randn(20, generator=g, dtype=torch.float64)
    assert ridge.gain(point, (point @ made.beta).item(), made.beta, 0.5) >= 0
    assert ridge.gain(point * 0, 1.0, made.beta, 0.5) == 0


@quick
@given(SEEDS)
def test_a_label_invariant_step_keeps_the_label_and_leaves_the_span(seed: int) -> None:
    made, off, g = problem(seed)
    moved = ridge.label_invariant(made.inputs[0], off, made.beta, g, 0.7)
    assert (moved @ made.beta).item() == pytest.approx((made.inputs[0] @ made.beta).item(), abs=1e-10)
    assert (off @ moved).norm().item() == pytest.approx(0.7)


def test_the_variance_of_predictions_is_that_of_noise_drawn() -> None:
    made, _, g = problem(0)
    mixing = ridge.same_class_mixing(torch.arange(8) % 2, g)
    assert mixing.sum(1).allclose(torch.ones(8).double()) and (mixing[0, 1::2] == 0).all()
    queries = torch.randn(5, 20, generator=g, dtype=torch.float64)
    rows = torch.cat([torch.eye(8, dtype=torch.float64), mixing])
    noise = torch.randn(8, 20_000, generator=g, dtype=torch.float64)
    predictions = queries @ ridge.ridge(rows @ made.inputs, rows @ noise, 0.1 * 16)
    expected = predictions.var(1).mean().item()
    assert ridge.prediction_variance(made.inputs, mixing, queries, 0.1) == pytest.approx(expected, rel=0.03)
