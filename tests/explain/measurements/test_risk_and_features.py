"""Risk, spectra and calibration, against NumPy and scikit-learn on networks whose outputs are known."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from torch import Tensor, nn
from toys import chains, probabilities, subject, toy

from augury.core.errors import InputError
from augury.explain.measurements.calibration import calibration, reliability
from augury.explain.measurements.embedding import embedding
from augury.explain.measurements.risk_gap import risk_gap
from augury.explain.measurements.sets import check_set, some
from augury.explain.measurements.spectrum import covariances, spectrum
from augury.explain.measurements.transfer import transfer
from augury.explain.measurements.variation import variation


def test_covariances_against_numpy_whatever_the_offset_and_the_batches() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 4, 300)
    features = generator.normal(size=(300, 6)) @ generator.normal(size=(6, 6)) + 3.0 * labels[:, None] + 1e4
    parts = torch.from_numpy(features).split([1, 99, 200])
    within, total = covariances(iter(parts), torch.from_numpy(labels), 5)
    each = [np.cov(features[labels == c].T, bias=True) for c in range(4)]
    np.testing.assert_allclose(within.numpy(), np.mean(each, 0), rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(total.numpy(), np.cov(features.T, bias=True), rtol=1e-7, atol=1e-7)


def test_collapsed_classes_have_no_spread_and_a_spectrum_of_classes_less_one() -> None:
    labels = torch.arange(60) % 3
    centres = torch.tensor([[1.0, 0, 0, 0, 7], [0, 1, 0, 0, 7], [0, 0, 1, 0, 7]])
    within, total = covariances(iter(centres[labels].split(7)), labels, 3)
    assert torch.linalg.svdvals(within).max() < 1e-12
    values = torch.linalg.svdvals(total)
    assert torch.allclose(values[:2], torch.full((2,), 1 / 3, dtype=torch.float64)) and values[2:].max() < 1e-12


def test_a_spectrum_is_that_of_the_heads_input() -> None:
    dataset = toy()
    found = spectrum([subject("a"), subject("b", scale=10)], dataset)
    small, large = found.values["rows"]
    features = dataset.train.images.double().mean((2, 3)).numpy() / 255
    expected = np.linalg.svd(np.cov(features.T, bias=True), compute_uv=False)
    np.testing.assert_allclose(small["total"][0], expected, rtol=1e-4)
    np.testing.assert_allclose(large["total"][0], 100 * expected, rtol=1e-4)
    assert large["measured"][0]["ratio"] == pytest.approx(small["measured"][0]["ratio"], rel=1e-5)
    share = expected / expected.sum()
    assert small["measured"][0]["rank"] == pytest.approx(math.exp(-(share * np.log(share)).sum()), rel=1e-4)
    assert small["measured"][0]["beyond"] == pytest.approx(100 * share[2:].sum(), rel=1e-3)
    assert "<svg" in found.figures[0].html


def test_risk_of_plain_images_is_their_cross_entropy() -> None:
    dataset = toy()
    (row,) = risk_gap([subject()], dataset).values["rows"]
    expected = log_loss(dataset.train.labels.numpy(), probabilities(dataset.train.images).numpy())
    measured = row["measured"][0]
    assert [measured[key] for key in ("clean", "augmented", "refined", "excess")] == pytest.approx([expected] * 4, rel=1e-5)
    assert measured["floor"] == 0


def test_risk_of_mixed_images_has_their_labels_entropy_as_its_floor() -> None:
    """Every image is the even average of two; the labels' entropy is log 2 where their classes differ."""
    dataset = toy()
    found = risk_gap([subject(augment="mixup(weight=0.5)", sharp=1.0)], dataset, draws=40).values["rows"][0]["measured"][0]
    labels = dataset.train.labels
    differ = (labels[:, None] != labels).double()
    expected = math.log(2) * (differ.sum() / (30 * 29)).item()
    assert found["floor"] == pytest.approx(expected, rel=0.05)
    assert found["excess"] == pytest.approx(found["augmented"] - found["floor"]) and found["excess"] > 0
    assert found["refined"] == pytest.approx(found["clean"]), "mixing is intensive: refinement leaves it out"
    assert found["augmented"] > found["clean"]


def test_an_augmentation_named_replaces_the_trainings_own() -> None:
    found = risk_gap([subject(augment="mixup")], toy(), augment=chains("invert")[0]).values
    measured = found["rows"][0]["measured"][0]
    assert found["augment"] == "invert" and measured["floor"] == 0 and measured["augmented"] > 1.5 * measured["clean"]


def test_reliability_by_hand() -> None:
    """Four images: two at 0.75 of which one is right, one at 0.95, right, and one at exactly the border of two bins, wrong."""
    probability = torch.tensor([[0.75, 0.25], [0.75, 0.25], [0.05, 0.95], [0.5, 0.5]], dtype=torch.float64)
    table = reliability(probability, torch.tensor([0, 1, 1, 1]), 10)
    assert table[:, 2].tolist() == [0, 0, 0, 0, 1, 0, 0, 2, 0, 1]
    assert table[7, :2].tolist() == pytest.approx([75, 50]) and table[9, :2].tolist() == pytest.approx([95, 100])
    assert table[4, :2].tolist() == pytest.approx([50, 0])


def test_calibration_against_scikit_learn_and_by_hand() -> None:
    dataset = toy()
    wrong = torch.arange(30) < 9
    labels = torch.where(wrong, (dataset.test.labels + 1) % 3, dataset.test.labels)
    dataset = replace(dataset, test=replace(dataset.test, labels=labels))
    found = calibration([subject()], dataset, bins=1).values["rows"][0]["measured"][0]
    probability = probabilities(dataset.test.images).numpy()
    confidence = probability.max(1).mean()
    assert found["accuracy"] == pytest.approx(70)
    assert found["calibration_error"] == pytest.approx(100 * abs(confidence - 0.7), rel=1e-5)
    assert found["cross_entropy"] == pytest.approx(log_loss(labels.numpy(), probability, labels=[0, 1, 2]), rel=1e-5)
    assert found["brier"] == pytest.approx(((probability - np.eye(3)[labels.numpy()]) ** 2).sum(1).mean(), rel=1e-5)
    sharper = calibration([subject(sharp=500)], dataset, bins=1).values["rows"][0]["measured"][0]
    assert sharper["calibration_error"] == pytest.approx(30, abs=0.1), "sure of everything, right in 70 %"


class Headless(nn.Module):
    """Gives logits and nothing else."""

    taps = ()

    def forward(self, images: Tensor) -> Tensor:
        return images.mean((2, 3))


@pytest.mark.parametrize("measure", [spectrum, variation, embedding])
def test_a_network_without_features_is_refused_where_they_are_needed(measure: Callable[..., object]) -> None:
    headless = replace(subject(), model=Headless(), folder=Path("runs/headless"))
    with pytest.raises(InputError, match=r"runs/headless: --model small_cnn names no head"):
        measure([headless], toy())
    accuracies = transfer([headless], toy()).values["rows"][0]["accuracies"][0]
    assert accuracies["original"] == 100, "logits alone suffice for accuracies"


def test_some_images_are_drawn_class_by_class_and_keep_their_groups() -> None:
    split = replace(toy().test, groups=torch.arange(30))
    few = some(split, 6, 0)
    assert sorted(few.labels.tolist()) == [0, 0, 1, 1, 2, 2]
    assert few.groups is not None and torch.equal(few.groups + 100, few.ids)
    assert some(split, None, 0) is split and some(split, 99, 0) is split


@pytest.mark.parametrize(
    ("text", "named"), [("cutmix", "mixes samples"), ("keep(cutout)", "asks a network"), ("batch_augment", "repeats")]
)
def test_what_makes_no_test_set_is_refused(text: str, named: str) -> None:
    with pytest.raises(InputError, match=named):
        check_set(chains(text)[0], "--what")
