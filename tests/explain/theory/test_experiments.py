"""The experiments on digits: what must hold by theorem holds, draws depend on the seed alone, wrong data are refused."""

from dataclasses import replace
from typing import get_args

import pytest
import torch

from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.explain.theory.claim import Checked, Pictures, pixels
from augury.explain.theory.group_invariance import group_invariance
from augury.explain.theory.kernel_view import kernel_view
from augury.explain.theory.linear_model import linear_model
from augury.explain.theory.margin import margin
from augury.explain.theory.markov_chain import markov_chain
from augury.explain.theory.minimum_norm import minimum_norm
from augury.explain.theory.mlp import Mix, ensemble, instability, probabilities
from augury.explain.theory.taylor import expansion
from augury.explain.theory.versions import FAMILIES, information, versions
from augury.train.data.dataset import load

# True whatever the data; a claim that fails here is a mistake of ours, not of a paper.
THEOREMS = (
    "For cross-entropy", "The expansion to second order", "Feature averaging never", "A label-invariant", "A point inside",
    "The chain's absorbing", "A composition", "Averaging features is a kernel", "Points that the true function fits",
    "If all directions count alike", "X-regularisation towards", "The d + 1 corners", "With at most d added", "Random points",
    "A separator trained on images with simplices", "Averaging over the group", "Trained on whole orbits",
)  # fmt: skip


@pytest.fixture(scope="module")
def digits() -> Pictures:
    return Pictures.of(load("digits"))


def theorems(found: Checked) -> int:
    known = [claim for claim in found.claims if claim.claim.startswith(THEOREMS)]
    for claim in known:
        assert claim.holds, f"{claim.claim} {claim.measured}"
    assert all(claim.stated and claim.measured and claim.source for claim in found.claims)
    return len(known)


def test_the_chain_and_its_neighbours(digits: Pictures) -> None:
    found = markov_chain(digits, images=30, queries=40, draws=64_000, seed=5)
    assert theorems(found) == 1
    steps = found.claims[0].values["steps"]
    assert [s["draws"] for s in steps] == [1000, 4000, 16000, 64000]
    assert steps[-1]["votes"] < steps[0]["votes"] / 3  # as the root of 64 would have it, 8
    assert markov_chain(digits, images=30, queries=40, draws=64_000, seed=5) == found
    assert markov_chain(digits, images=30, queries=40, draws=64_000, seed=6) != found


def test_the_expansion(digits: Pictures) -> None:
    found = expansion(digits, images=100)
    assert theorems(found) == 3
    shift = found.claims[-1]  # what the paper says of weights that go to zero is not so: only differences matter
    assert not shift.holds and shift.values["relative_change"] < 1e-9


def test_the_linear_model(digits: Pictures) -> None:
    found = linear_model(digits, problems=20, images=100, networks=3, epochs=5)
    assert theorems(found) == 3


def test_the_kernel_view(digits: Pictures) -> None:
    found = kernel_view(digits, images=50, trial=100, seeds=1)
    assert theorems(found) == 1
    assert found.claims[1].holds  # the second order is the closer one


def test_minimum_norm(digits: Pictures) -> None:
    assert theorems(minimum_norm(digits, problems=40)) == 3


def test_the_margin(digits: Pictures) -> None:
    found = margin(digits, draws=40)
    assert theorems(found) == 5
    plain = found.claims[-1].values["plain"]
    assert min(plain) < found.claims[-1].values["expected"]  # without the simplices the margin is not kept


def test_group_invariance(digits: Pictures) -> None:
    found = group_invariance(digits, images=60, repeats=10)
    assert theorems(found) == 2
    bias = found.claims[-1].values  # digits are not invariant: a turned 6 is a 9
    assert bias["augmented"]["accuracy"] < bias["plain"]["accuracy"]


def test_versions_start_with_the_original(digits: Pictures) -> None:
    images = digits.test.images[:3]
    for family, (_, settings) in FAMILIES.items():
        found = versions(images, family, 32)
        assert found.shape == (3, 1 + len(settings), 1024)
        assert found[:, 0].equal(images.double().flatten(1) / 255)
        assert not found[:, -1].equal(found[:, 0])


def test_information_is_that_of_the_label() -> None:
    labels = torch.tensor([0, 1, 0, 1])
    inputs = torch.stack([labels.double(), torch.full((4,), 0.3), torch.tensor([0.0, 0.0, 1.0, 1.0])], 1).double()
    torch.testing.assert_close(information(inputs, labels), torch.tensor([2.0, 1.0, 1.0]).log().double())


def test_pictures_become_grey_and_join_their_parts(digits: Pictures) -> None:
    source = load("digits")
    assert len(digits.train.ids) == len(source.train.ids) + len(source.validation.ids)
    three = lambda split: replace(split, images=split.images.expand(-1, 3, -1, -1))  # noqa: E731
    colour = replace(source, train=three(source.train), validation=three(source.validation), test=three(source.test))
    assert Pictures.of(colour).train.images.equal(digits.train.images)


def test_networks_of_an_ensemble_do_not_meet(digits: Pictures) -> None:
    few = digits.some(50, 20, 0)
    inputs, queries = pixels(few.train.images, 8), pixels(few.test.images, 8)
    for mix in get_args(Mix):
        both = probabilities(ensemble(inputs, few.train.labels, 10, 2, mix=mix, epochs=3), queries)
        alone = probabilities(ensemble(inputs, few.train.labels, 10, 1, mix=mix, epochs=3), queries)
        torch.testing.assert_close(both[:1], alone, rtol=0, atol=1e-4)
        assert instability(both) > 0
    assert instability(both[:1].expand(3, -1, -1)) == 0


def test_repeated_images_count_once(digits: Pictures) -> None:
    twice = digits.train
    same = replace(
        digits, train=type(twice)(twice.images[:1].expand(20, -1, -1, -1), twice.labels[:20], Noise.of(0, twice.ids[:20]).key)
    )
    assert "1 images" in markov_chain(same, images=20, queries=10, draws=10_000).summary


def test_images_in_files_are_refused(digits: Pictures) -> None:
    class Files:
        def __getitem__(self, rows: object) -> "Files":
            return self

    source = load("digits")
    with pytest.raises((InputError, TypeError)):
        Pictures.of(replace(source, train=replace(source.train, images=Files())))  # type: ignore[arg-type]
