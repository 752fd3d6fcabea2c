"""Fewer images and wrong labels: how many, which, and that nothing else is touched."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from augury.core.errors import InputError
from augury.train.data.dataset import Dataset, Split
from augury.train.data.subsets import kept_rows, noisy_labels, reduced


def split(counts: list[int], start: int = 0) -> Split:
    labels = torch.cat([torch.full((n,), k) for k, n in enumerate(counts)])
    shuffled = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]
    images = torch.randint(0, 256, (len(labels), 3, 4, 4), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    return Split(images, shuffled, torch.arange(start, start + len(labels)), groups=shuffled % 2)


@pytest.fixture
def dataset() -> Dataset:
    parts = split([600, 300, 97, 3]), split([10, 10, 10, 10], 5000), split([20, 20, 20, 20], 6000)
    return Dataset("toy", ("a", "b", "c", "d"), *parts, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def test_a_fraction_is_stratified_and_no_class_is_emptied(dataset: Dataset) -> None:
    small = reduced(dataset, fraction=0.1)
    assert torch.bincount(small.train.labels).tolist() == [60, 30, 10, 1]
    tiny = reduced(dataset, fraction=0.0001)
    assert torch.bincount(tiny.train.labels).tolist() == [1, 1, 1, 1]
    rows = small.train.ids
    assert torch.equal(small.train.images, dataset.train.images[rows]) and torch.equal(
        small.train.labels, dataset.train.labels[rows]
    )
    assert small.train.groups is not None and dataset.train.groups is not None
    assert torch.equal(small.train.groups, dataset.train.groups[rows])
    assert "fraction 0.1: 101 of 1000" in small.notes[-1]


def test_a_smaller_fraction_lies_within_a_larger_one_whatever_the_order(dataset: Dataset) -> None:
    kept = [set(reduced(dataset, fraction=f).train.ids.tolist()) for f in (0.1, 0.3, 0.5)]
    assert kept[0] < kept[1] < kept[2]
    order = torch.randperm(1000, generator=torch.Generator().manual_seed(7))
    part = dataset.train
    turned = Split(part.images[order], part.labels[order], part.ids[order])
    assert set(turned.ids[kept_rows(turned, 0.3)].tolist()) == kept[1]
    assert kept[0] != set(range(101)), "the first images instead of a sample"


def test_statistics_are_those_of_the_images_that_are_left(dataset: Dataset) -> None:
    small = reduced(dataset, fraction=0.1)
    pixels = small.train.images.numpy() / 255
    np.testing.assert_allclose(small.mean, pixels.mean((0, 2, 3)), rtol=1e-9)
    np.testing.assert_allclose(small.std, pixels.std((0, 2, 3)), rtol=1e-9)
    constant = replace(dataset, train=replace(dataset.train, images=torch.full((1000, 1, 4, 4), 7, dtype=torch.uint8)))
    assert reduced(constant, fraction=0.5).std == (1 / 255,)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_noise_redraws_exactly_that_share_uniformly(dataset: Dataset, share: float) -> None:
    labels, redrawn = noisy_labels(dataset.train, share, 4)
    assert int(redrawn.sum()) == round(1000 * share)
    assert torch.equal(labels[~redrawn], dataset.train.labels[~redrawn])
    assert chisquare(torch.bincount(labels[redrawn], minlength=4).numpy()).pvalue > 1e-3
    wrong = int((labels != dataset.train.labels).sum())
    assert abs(wrong - 0.75 * 1000 * share) < 4 * (1000 * share * 0.75 * 0.25) ** 0.5
    noisy = reduced(dataset, label_noise=share)
    assert torch.equal(noisy.train.labels, labels) and f"{wrong} are wrong" in noisy.notes[-1]
    assert torch.equal(noisy.train.images, dataset.train.images)


def test_less_noise_lies_within_more(dataset: Dataset) -> None:
    few, many = noisy_labels(dataset.train, 0.2, 4), noisy_labels(dataset.train, 0.5, 4)
    assert (many[1] | ~few[1]).all() and torch.equal(few[0][few[1]], many[0][few[1]])


def test_validation_and_test_part_stay_as_they_are(dataset: Dataset) -> None:
    harder = reduced(dataset, fraction=0.2, label_noise=0.8)
    for name in ("validation", "test"):
        assert getattr(harder, name) is getattr(dataset, name)
    assert reduced(dataset) is dataset


@pytest.mark.parametrize(
    ("values", "named"),
    [({"fraction": 0.0}, "--fraction"), ({"fraction": 1.1}, "--fraction"), ({"label_noise": 1.5}, "--label-noise")],
)
def test_shares_out_of_range_are_refused(dataset: Dataset, values: dict[str, float], named: str) -> None:
    with pytest.raises(InputError, match=named):
        reduced(dataset, **values)
