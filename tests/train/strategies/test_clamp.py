"""CLAMP's consistency term against SciPy and its bounds; its loss put together by hand."""

import math

import numpy as np
import pytest
import torch
from grouped import HandViews, groups
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, rel_entr, softmax
from torch import nn

from augury.core.errors import InputError
from augury.train.strategies.build import strategy
from augury.train.strategies.clamp import consistency, irm_penalty

FOUR = groups([(0, 0), (0, 1), (1, 0), (1, 1)], [90, 10, 10, 90])
KINDS = ("clamp", "jsd", "kl", "reverse_kl")


def drawn(seed: int, rows: int = 7, others: int = 2, classes: int = 3, scale: float = 3.0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return (
        scale * torch.randn(rows, classes, generator=generator, dtype=torch.float64),
        scale * torch.randn(rows, others, classes, generator=generator, dtype=torch.float64),
    )


def everything(translated: torch.Tensor) -> torch.Tensor:
    return torch.ones(translated.shape[:2], dtype=torch.bool)


def kl(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    return rel_entr(p, q).sum(-1)


@pytest.mark.parametrize("kind", KINDS)
def test_equal_predictions_give_nothing(kind: str) -> None:
    original, _ = drawn(0)
    translated = original[:, None].expand(-1, 2, -1) + torch.tensor([2.0, -7.0])[:, None]  # a constant on all logits is nothing
    assert consistency(original, translated, everything(translated), kind).abs().max() < 1e-6  # type: ignore[arg-type]


def test_it_is_half_a_kl_and_half_a_jensen_shannon_divergence() -> None:
    """Two translations, against SciPy: 0.5 KL(p0||m) + 0.5 JS(p1, p2), JS by entropies rather than by KL."""
    original, translated = drawn(1)
    p0, pk = softmax(original.numpy(), -1), softmax(translated.numpy(), -1)
    m = pk.mean(1)
    js = -(m * np.log(m)).sum(-1) + (pk * log_softmax(translated.numpy(), -1)).sum(-1).mean(1)
    found = consistency(original, translated, everything(translated))
    assert found.numpy() == pytest.approx(0.5 * kl(p0, m) + 0.5 * js, rel=1e-4)
    quarters = 0.5 * kl(p0, m) + 0.25 * kl(pk[:, 0], m) + 0.25 * kl(pk[:, 1], m)
    assert found.numpy() == pytest.approx(quarters, rel=1e-4)


def test_the_ablations_against_scipy() -> None:
    original, translated = drawn(2)
    p0, pk = softmax(original.numpy(), -1), softmax(translated.numpy(), -1)
    m, every = pk.mean(1), np.concatenate([p0_ := p0[:, None], pk], 1)
    mean3 = every.mean(1, keepdims=True)
    expected = {
        "kl": kl(p0_, pk).sum(1),
        "reverse_kl": 0.5 * kl(m, p0) + 0.25 * kl(m, pk[:, 0]) + 0.25 * kl(m, pk[:, 1]),
        "jsd": kl(every, mean3).mean(1),
    }
    for kind, value in expected.items():
        found = consistency(original, translated, everything(translated), kind)  # type: ignore[arg-type]
        assert found.numpy() == pytest.approx(value, rel=1e-4, abs=1e-6), kind


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(2, 5), st.floats(0.01, 60))
def test_it_is_bounded(seed: int, others: int, classes: int, scale: float) -> None:
    """At least 0; the translations' part at most ln K / 2; all of it at most that and half of (range of the logits + ln C)."""
    original, translated = drawn(seed, others=others, classes=classes, scale=scale)
    valid = everything(translated)
    found = consistency(original, translated, valid)
    spread = float((translated.amax(2) - translated.amin(2)).max())
    assert float(found.min()) > -1e-5
    assert float(found.max()) <= 0.5 * (spread + math.log(classes)) + 0.5 * math.log(others) + 1e-4
    # p0 = m leaves the translations' part alone.
    middle = translated.double().softmax(2).mean(1).clamp(min=1e-300).log()
    alone = consistency(middle, translated, valid)
    assert float(alone.max()) <= 0.5 * math.log(others) + 1e-4


def test_disagreeing_translations_reach_the_bound_of_ln_2() -> None:
    translated = torch.tensor([[[50.0, -50.0], [-50.0, 50.0]]])
    found = consistency(torch.zeros(1, 2), translated, everything(translated))
    assert float(found) == pytest.approx(0.5 * math.log(2), rel=1e-6)


def test_extreme_logits_stay_finite_with_gradients() -> None:
    original = torch.tensor([[500.0, -500.0]], requires_grad=True)
    translated = torch.tensor([[[-500.0, 500.0], [-400.0, 300.0]]], requires_grad=True)
    for kind in KINDS:
        found = consistency(original, translated, torch.ones(1, 2, dtype=torch.bool), kind).sum()  # type: ignore[arg-type]
        gradients = torch.autograd.grad(found, (original, translated))
        assert math.isfinite(float(found.detach())) and all(bool(g.isfinite().all()) for g in gradients), kind


def test_absent_translations_count_nowhere() -> None:
    original, translated = drawn(3, others=4)
    valid = torch.tensor([True, True, False, False]).expand(7, 4)
    for kind in KINDS:
        few = consistency(original, translated[:, :2], everything(translated[:, :2]), kind)  # type: ignore[arg-type]
        assert torch.allclose(consistency(original, translated, valid, kind), few, atol=1e-6), kind  # type: ignore[arg-type]
    single = torch.tensor([True, False, False, False]).expand(7, 4)
    assert float(consistency(original, translated, single).abs().max()) == 0
    nothing = torch.zeros(7, 4, dtype=torch.bool)
    translated.requires_grad_()
    gradient = torch.autograd.grad(consistency(original, translated, nothing).sum() + 0 * translated.sum(), translated)[0]
    assert bool((gradient == 0).all())


@pytest.mark.parametrize("kind", KINDS)
def test_an_absent_translation_counts_nowhere_however_sure_it_is(kind: str) -> None:
    """Catches one that counts a little, with which a prediction that all others rule out would become possible."""
    original = torch.tensor([[0.0, 0.0, -900.0]])
    translated = torch.tensor([[[4.0, 0.0, -900.0], [0.0, 4.0, -900.0], [-900.0, -900.0, 900.0]]])
    valid = torch.tensor([[True, True, False]])
    for given_ in (original, torch.tensor([[-900.0, -900.0, 0.0]])):
        few = consistency(given_, translated[:, :2], valid[:, :2], kind)  # type: ignore[arg-type]
        found = consistency(given_, translated, valid, kind)  # type: ignore[arg-type]
        torch.testing.assert_close(found, few)


@pytest.mark.parametrize("kind", KINDS)
def test_images_without_translations_stand_beside_others(kind: str) -> None:
    original, translated = drawn(9, rows=3)
    original.requires_grad_()
    translated.requires_grad_()
    valid = torch.tensor([[True, True], [False, False], [True, False]])
    found = consistency(original, translated, valid, kind)  # type: ignore[arg-type]
    alone = consistency(original[:1], translated[:1], valid[:1], kind)  # type: ignore[arg-type]
    torch.testing.assert_close(found[:1], alone)
    assert found[1:].tolist() == [0, 0]
    for gradient in torch.autograd.grad(found.sum(), (original, translated)):
        assert gradient.isfinite().all() and gradient[0].any() and not gradient[1:].any()


def batch(translated: torch.Tensor | None = None) -> HandViews:
    labels, subgroups = torch.tensor([0, 0, 1, 1, 1]), torch.tensor([0, 1, 0, 1, 1])
    images = torch.randn(5, 3, generator=torch.Generator().manual_seed(4))
    others = images[:, None].expand(-1, 2, -1) if translated is None else translated
    return HandViews(images, labels, subgroups, others)


def made(text: str):  # type: ignore[no-untyped-def]
    built = strategy(text)
    built.begin(FOUR)  # type: ignore[attr-defined]
    return built


@pytest.mark.parametrize("kind", KINDS)
def test_identity_translators_leave_group_dro(kind: str) -> None:
    """Translations that change nothing: the loss is that of class-conditional group DRO, to the last digits."""
    model = nn.Linear(3, 2)
    step = made(f"clamp(weight=100, consistency={kind}, adjustment=2)")(model, batch())
    plain = made("group_dro(class_conditional=true, adjustment=2)")(model, batch())
    assert float(step.logs["consistency"]) == pytest.approx(0, abs=1e-6)
    assert float(step.loss.detach()) == pytest.approx(float(plain.loss.detach()), abs=1e-4)


def test_the_term_is_the_sum_over_groups_of_their_means() -> None:
    model = nn.Linear(3, 2)
    translated = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(5))
    views = batch(translated)
    step = made("clamp(weight=3, adjustment=0)")(model, views)
    each = consistency(model(views.images), model(translated), torch.ones(5, 2, dtype=torch.bool)).detach()
    expected = each[0] + each[1] + each[2] + (each[3] + each[4]) / 2
    assert float(step.logs["consistency"]) == pytest.approx(float(expected), rel=1e-5)
    plain = made("group_dro(class_conditional=true)")(model, views)
    assert float(step.loss.detach()) == pytest.approx(float(plain.loss.detach() + 3 * expected), rel=1e-5)


def test_gradients_flow_through_original_and_translations() -> None:
    model = nn.Identity()
    images = torch.randn(5, 2, generator=torch.Generator().manual_seed(6), requires_grad=True)
    translated = torch.randn(5, 2, 2, generator=torch.Generator().manual_seed(7), requires_grad=True)
    views = HandViews(images, torch.tensor([0, 0, 1, 1, 1]), torch.tensor([0, 1, 0, 1, 1]), translated)
    step = made("clamp")(model, views)
    for gradient in torch.autograd.grad(step.loss, (images, translated)):
        assert bool((gradient.flatten(1).abs().sum(1) > 0).all())


def test_a_class_with_one_subgroup_has_no_consistency() -> None:
    built = strategy("clamp(adjustment=0)")
    built.begin(groups([(0, 0), (0, 1), (1, 0)], [9, 9, 9]))  # type: ignore[attr-defined]
    images, translated = torch.zeros(2, 2), torch.tensor([[[5.0, 0.0], [5.0, 0.0]], [[5.0, 0.0], [0.0, 5.0]]])
    step = built(nn.Identity(), HandViews(images, torch.tensor([1, 1]), torch.tensor([0, 0]), translated))
    assert float(step.logs["consistency"]) == 0


def test_the_irm_penalty_is_the_derivative_by_a_scale_squared() -> None:
    """Against autograd, as IRMv1 is written in its paper."""
    generator = torch.Generator().manual_seed(8)
    logits = torch.randn(12, 3, generator=generator)
    labels, cells = torch.randint(0, 3, (12,), generator=generator), torch.arange(12) % 4
    expected = 0.0
    for group in range(4):
        scale = torch.ones((), requires_grad=True)
        loss = nn.functional.cross_entropy(logits[cells == group] * scale, labels[cells == group])
        expected += float(torch.autograd.grad(loss, scale)[0] ** 2)
    assert float(irm_penalty(logits, labels, cells, 4)) == pytest.approx(expected, rel=1e-5)


def test_options_out_of_range_and_unknown_ones_are_refused() -> None:
    with pytest.raises(InputError, match="weight"):
        strategy("clamp(weight=-1)")
    with pytest.raises(InputError, match="jsd"):
        strategy("clamp(consistency=jds)")
