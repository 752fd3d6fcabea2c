"""Transfer, variation and embedding on networks whose answers are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from toys import chains, subject, toy

from augury.core.errors import InputError
from augury.core.options import parse_chain
from augury.explain.measurements.embedding import embedding
from augury.explain.measurements.measurement import groups_of
from augury.explain.measurements.sets import logits_and_features, logits_under, sets_named
from augury.explain.measurements.transfer import transfer
from augury.explain.measurements.variation import variation
from augury.train.data.dataset import Dataset, Split


@pytest.fixture
def dataset() -> Dataset:
    return toy()


def test_accuracy_under_each_augmentation(dataset: Dataset) -> None:
    """Inverted, the brightest channel is the darkest; grey images have no brightest, and the first wins."""
    found = transfer([subject()], dataset, sets=chains("none", "invert(p=1)", "flip(p=1)", "color(factor=0)"))
    (row,) = found.values["rows"]
    (accuracies,) = row["accuracies"]
    assert accuracies["original"] == accuracies["flip(p=1)"] == 100
    assert accuracies["invert(p=1)"] == 0
    assert accuracies["color(factor=0)"] == pytest.approx(100 / 3)
    assert [r[0] for r in found.tables[0].rows] == ["a"] and "invert(p=1)" in found.tables[0].columns


def test_seeds_of_one_training_share_a_row(dataset: Dataset) -> None:
    subjects = [subject("a", 0), subject("b", 0), subject("a", 1)]
    assert {g: [s.seed for s in m] for g, m in groups_of(subjects).items()} == {"a": [0, 1], "b": [0]}
    found = transfer(subjects, dataset, sets=chains("none"))
    assert [(r["trained"], r["n"]) for r in found.values["rows"]] == [("a", 2), ("b", 1)]


def test_sets_are_drawn_once_whatever_the_network_the_order_or_the_part(dataset: Dataset) -> None:
    chain = parse_chain("crop", "test")
    whole, _ = logits_and_features(subject(), dataset.test, chain, 3)
    again, _ = logits_and_features(subject(), dataset.test, chain, 3)
    other, _ = logits_and_features(subject(), dataset.test, chain, 4)
    assert torch.equal(whole, again) and not torch.equal(whole, other)
    rows = torch.tensor([7, 2, 29])
    part = Split(dataset.test.images[rows], dataset.test.labels[rows], dataset.test.ids[rows])
    assert torch.equal(logits_and_features(subject(), part, chain, 3)[0], whole[rows])


def test_a_network_is_asked_once_for_what_several_measurements_need(dataset: Dataset) -> None:
    """By part, augmentation, seed and view; plain images whatever the seed. The oldest answers are dropped."""
    asked = subject()
    calls: list[int] = []
    asked.model.register_forward_pre_hook(lambda module, given: calls.append(len(given[0])))
    plain, crop = chains("none", "crop")
    wanted = {
        key: (logits_under(subject(), *key), logits_and_features(subject(), *key))
        for key in [(dataset.test, plain, 0, 0), (dataset.test, crop, 0, 0), (dataset.test, crop, 0, 1), (dataset.test, crop, 1, 0)]
    }  # fmt: skip
    for _ in range(2):
        for key, (logits, both) in wanted.items():
            assert torch.equal(logits_under(asked, *key), logits)
            assert all(map(torch.equal, logits_and_features(asked, *key), both))
        assert torch.equal(logits_under(asked, dataset.test, plain, 9), wanted[(dataset.test, plain, 0, 0)][0])
    assert len(calls) == 4
    other = Split(dataset.test.images.flip(3), dataset.test.labels, dataset.test.ids)
    assert not torch.equal(logits_and_features(asked, other, crop, 0)[1], wanted[(dataset.test, crop, 0, 0)][1][1])
    assert len(calls) == 5 and len(asked.seen) == 4


def test_a_networks_own_statistics_normalise_its_images(dataset: Dataset) -> None:
    shifted = replace(subject(), mean=(0.1, 0.2, 0.3), std=(0.5, 0.5, 0.5))
    _, features = logits_and_features(shifted, dataset.test, parse_chain("none", "test"), 0)
    expected = (dataset.test.images.numpy() / 255 - np.array([0.1, 0.2, 0.3])[:, None, None]) / 0.5
    np.testing.assert_allclose(features.numpy(), expected.mean((2, 3)), rtol=1e-5)


def test_variation_by_hand(dataset: Dataset) -> None:
    found = variation([subject()], dataset, sets=chains("none", "invert(p=1)", "flip(p=1)"))
    pixels = dataset.test.images.numpy().mean((2, 3)) / 255
    views = [pixels, 1 - pixels]
    p, q = (np.exp(5 * v) / np.exp(5 * v).sum(1, keepdims=True) for v in views)
    (divergence,), (distance,), (relative,) = (found.values["rows"][0][key] for key in ("divergence", "distance", "relative"))
    assert found.values["pairs"] == ["original, invert(p=1)", "original, flip(p=1)", "invert(p=1), flip(p=1)"]
    assert divergence[0] == pytest.approx((entropy(p, q, axis=1) + entropy(q, p, axis=1)).mean() / 2, rel=1e-4)
    assert distance[0] == pytest.approx(np.linalg.norm(views[0] - views[1], axis=1).mean(), rel=1e-4)
    assert divergence[1] == pytest.approx(0, abs=1e-6) and distance[1] == pytest.approx(0, abs=1e-6)
    assert relative[0] / distance[0] == pytest.approx(relative[2] / distance[2])


def test_relative_distance_does_not_depend_on_the_size_of_features(dataset: Dataset) -> None:
    found = variation([subject("a"), subject("b", scale=10)], dataset, sets=chains("none", "invert(p=1)"))
    small, large = found.values["rows"]
    assert large["distance"][0][0] == pytest.approx(10 * small["distance"][0][0], rel=1e-4)
    assert large["relative"][0][0] == pytest.approx(small["relative"][0][0], rel=1e-4)


def test_views_of_an_image_lie_together_where_the_network_ignores_what_changes(dataset: Dataset) -> None:
    def measured(augment: str) -> dict[str, float]:
        found = embedding([subject()], dataset, images=6, views=5, augment=parse_chain(augment, "test"))
        assert "<svg" in found.figures[0].html
        return found.values["rows"][0]["measured"][0]

    still, moving = measured("flip"), measured("invert(p=0.5)")
    assert still["within"] < 1e-4 and still["silhouette"] > 0.999
    assert moving["within"] > 0.3 and moving["silhouette"] < 0.7


def test_shown_images_come_from_all_classes_and_stay_the_same(dataset: Dataset) -> None:
    found, again = (embedding([subject()], dataset, images=6, views=4).values for _ in range(2))
    assert found == again and len(set(found["images"])) == 6
    assert sorted(np.array(found["images"]) % 3) == sorted((np.arange(6) + 100) % 3)


def test_sets_that_cannot_be_tested_on_are_refused(dataset: Dataset) -> None:
    with pytest.raises(InputError, match="mixes samples"):
        sets_named(chains("mixup"))
    with pytest.raises(InputError, match="twice"):
        sets_named(chains("none", "none"))
    with pytest.raises(InputError, match="at least two"):
        variation([subject()], dataset, sets=chains("none"))
    assert [each.name for each in sets_named(None)] == ["original", "random crop", "grayscale", "random colour"]
