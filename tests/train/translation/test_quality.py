"""What is said of translations: perfect ones, none at all, and ones that change the class."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from augury.train.data.dataset import Dataset, load
from augury.train.data.groups import Groups, groups_of
from augury.train.translation.quality import Judge, Quality, energy_distance, features, qualities


@pytest.fixture(scope="module")
def digits() -> tuple[Dataset, Groups, Judge]:
    dataset = load("digits_correlation")
    groups = groups_of(dataset)
    return dataset, groups, Judge.fit(dataset.train, dataset.validation, groups)


def test_counterparts_are_the_images_themselves_and_differ_by_the_zigzag(digits: tuple[Dataset, Groups, Judge]) -> None:
    dataset = digits[0]
    assert dataset.counterparts is not None and dataset.train.groups is not None
    truth = dataset.counterparts(dataset.train.ids)
    own = truth[torch.arange(len(truth)), dataset.train.groups]
    assert torch.equal(own, dataset.train.images)
    assert bool((truth[:, 1].int() >= truth[:, 0].int()).all()) and not torch.equal(truth[:, 0], truth[:, 1])


def test_the_judge_tells_real_images_apart(digits: tuple[Dataset, Groups, Judge]) -> None:
    judge = digits[2]
    assert judge.subgroup_accuracy is not None and judge.subgroup_accuracy > 90
    assert judge.label_accuracy is not None and judge.label_accuracy > 75


def test_true_translations_are_good_and_none_at_all_is_not(digits: tuple[Dataset, Groups, Judge]) -> None:
    dataset, groups, judge = digits
    assert dataset.counterparts is not None
    truth = dataset.counterparts(dataset.train.ids)
    untouched = dataset.train.images[:, None].expand(-1, 2, -1, -1, -1)
    for perfect, nothing in zip(
        qualities(dataset.train, groups, truth, judge, truth),
        qualities(dataset.train, groups, untouched, judge, truth),
        strict=True,
    ):
        assert (perfect.label, perfect.start, perfect.target) == (nothing.label, nothing.start, nothing.target)
        assert perfect.true_distance == 0 and nothing.true_distance == nothing.untouched_distance > 5
        assert perfect.flipped > 80 > 20 > nothing.flipped
        assert perfect.distance_after < perfect.distance_before / 2
        assert nothing.distance_after == nothing.distance_before
        assert not perfect.warnings(judge) and len(nothing.warnings(judge)) >= 2


def test_a_translation_that_changes_the_class_is_said_to(digits: tuple[Dataset, Groups, Judge]) -> None:
    dataset, groups, judge = digits
    split = dataset.train
    assert split.groups is not None
    # Every image becomes one of the other class, in the right subgroup.
    swapped = torch.stack(
        [
            torch.stack([split.images[((split.labels != y) & (split.groups == z)).nonzero()[0, 0]] for z in (0, 1)])
            for y in split.labels.tolist()
        ]
    )
    found = qualities(split, groups, swapped, judge)
    assert all(any("keep their class" in line for line in each.warnings(judge)) for each in found)
    assert all(each.true_distance is None for each in found)


def test_energy_distance_is_its_definition() -> None:
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(7, 4, generator=g), torch.randn(9, 4, generator=g) + 1
    x, y = a.numpy(), b.numpy()
    within = lambda rows: cdist(rows, rows).sum() / (len(rows) * (len(rows) - 1))  # noqa: E731
    assert energy_distance(a, b) == pytest.approx((2 * cdist(x, y).mean() - within(x) - within(y)) / 2, abs=1e-5)
    assert energy_distance(a[:1], b[:1]) == pytest.approx(2 * float(np.linalg.norm(x[0] - y[0])) / 2, abs=1e-5)


def test_large_images_are_judged_by_32_pixels_a_side() -> None:
    assert features(torch.zeros(2, 3, 64, 48, dtype=torch.uint8)).shape == (2, 3 * 32 * 32)
    assert features(torch.zeros(2, 1, 8, 40, dtype=torch.uint8)).shape == (2, 8 * 32)


def test_warnings_name_the_translation() -> None:
    poor = Quality("odd", "zigzag", "clean", 9, 10.0, 20.0, 5.0, 6.0)
    words = poor.warnings(Judge(None, None, 99.0, 97.0))  # type: ignore[arg-type]
    assert len(words) == 3 and all("'odd' from 'zigzag' to 'clean'" in line for line in words)
