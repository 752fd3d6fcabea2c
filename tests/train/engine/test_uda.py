"""Few labels and UDA: the loss in closed form, plain training where it must be, and a gain where it should be."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from torch import Tensor

from augury.core.errors import InputError
from augury.train.data.dataset import Dataset, load
from augury.train.data.labels import labelled
from augury.train.engine.order import epoch_order
from augury.train.engine.prepare import prepare
from augury.train.engine.run import Trainer
from augury.train.engine.settings import Settings
from augury.train.engine.streams import repeated_order
from augury.train.engine.training import Training
from augury.train.strategies.uda import consistency

SHORT = Settings("digits", epochs=1, batch_size=50)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


def weights(training: Training) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in training.model.state_dict().items()}


def trained(digits: Dataset, augment: str, strategy: str, **changes: object) -> tuple[Training, dict]:
    training = prepare(replace(SHORT, augment=augment, strategy=strategy, **changes), digits)
    return training, Trainer(training).run()


def test_labels_are_stratified_nested_and_by_seed(digits: Dataset) -> None:
    few = labelled(digits, labels=None, per_class=2, seed=0)
    assert Counter(few.labels.tolist()) == dict.fromkeys(range(10), 2)
    more = labelled(digits, labels=None, per_class=5, seed=0)
    assert set(few.ids.tolist()) < set(more.ids.tolist())
    assert set(labelled(digits, labels=None, per_class=2, seed=1).ids.tolist()) != set(few.ids.tolist())
    total = torch.bincount(digits.train.labels, minlength=10)
    for count in (10, 37, 100, 200):
        some = labelled(digits, labels=count, per_class=None, seed=0)
        each = torch.bincount(some.labels, minlength=10)
        assert len(some.ids) == count == len(some.ids.unique()) and int(each.min()) >= 1
        assert float((each - total * count / 200).abs().max()) <= 1
    assert torch.equal(labelled(digits, labels=200, per_class=None, seed=0).ids, digits.train.ids)
    lookup = dict(zip(digits.train.ids.tolist(), digits.train.labels.tolist(), strict=True))
    assert [lookup[i] for i in few.ids.tolist()] == few.labels.tolist()


def test_impossible_numbers_are_refused(digits: Dataset) -> None:
    for labels, per_class, words in [(5, None, "one per class"), (201, None, r"200 \(all\)"), (None, 40, "training images"),
                                     (20, 2, "leave one out")]:  # fmt: skip
        with pytest.raises(InputError, match=words):
            labelled(digits, labels=labels, per_class=per_class, seed=0)


def test_few_images_are_gone_through_again_and_again() -> None:
    ids = torch.tensor([5, 3, 9])
    order, visits = repeated_order(ids, 0, 2, 8)
    assert torch.equal(order[:3], epoch_order(ids, 0, 2))
    assert visits.tolist() == [0, 0, 0, 1, 1, 1, 2, 2]
    assert sorted(order[3:6].tolist()) == [0, 1, 2]
    many = repeated_order(torch.arange(50), 0, 0, 100)[0]
    assert not torch.equal(many[:50], many[50:])


def test_consistency_equals_scipy() -> None:
    generator = torch.Generator().manual_seed(0)
    weak, strong = torch.randn(20, 5, generator=generator) * 2, torch.randn(20, 5, generator=generator)
    weak.requires_grad_()
    for temperature, confidence in ((1.0, 0.0), (0.4, 0.8), (0.5, 0.6)):
        apart, confident = consistency(weak, strong, temperature, confidence)
        target = (weak / temperature).softmax(1).detach().double().numpy()
        wanted = [entropy(p, q) for p, q in zip(target, strong.softmax(1).double().numpy(), strict=True)]
        sure = weak.softmax(1).amax(1).detach().numpy() > confidence
        np.testing.assert_allclose(apart.detach().numpy(), np.where(sure, wanted, 0), rtol=1e-4, atol=1e-6)
        assert confident.numpy().tolist() == sure.tolist()
        assert not apart.requires_grad


def test_the_target_gets_no_gradient_and_the_copy_does() -> None:
    weak, strong = torch.randn(4, 3, requires_grad=True), torch.randn(4, 3, requires_grad=True)
    consistency(weak, strong, 1.0, 0.0)[0].sum().backward()
    assert weak.grad is None
    torch.testing.assert_close(strong.grad, strong.softmax(1).detach() - weak.softmax(1).detach())


def test_with_all_labels_and_no_weight_it_is_plain_training(digits: Dataset) -> None:
    plain, told = trained(digits, "crop", "erm")
    uda, also = trained(digits, "randaugment", "uda(weight=0, weak=crop)", labels=200)
    assert all(torch.equal(value, weights(uda)[name]) for name, value in weights(plain).items())
    assert told["counts"] == also["counts"]


def test_labels_of_unlabelled_images_are_never_seen(digits: Dataset) -> None:
    """Other labels on the images without one change nothing."""
    strategy = "uda(ratio=2, weak=crop, confidence=0)"
    one, _ = trained(digits, "keep_randaugment(saliency=low_resolution)", strategy, labels_per_class=2)
    kept = set(one.data.train.ids.tolist())
    without = torch.tensor([i not in kept for i in digits.train.ids.tolist()])
    blank = one.data.unlabelled.split.labels.clone()
    blank[without] = 0
    other = prepare(one.settings, digits)
    other.data.unlabelled.split = replace(other.data.unlabelled.split, labels=blank)
    Trainer(other).run()
    assert all(torch.equal(value, weights(other)[name]) for name, value in weights(one).items())


def test_few_labels_mean_as_many_steps_and_the_stream_is_seven_times_as_wide(digits: Dataset) -> None:
    _, supervised = trained(digits, "crop", "erm", labels=20)
    assert supervised["counts"]["steps"] == 4 and supervised["counts"]["images"] == 200
    _, uda = trained(digits, "randaugment", "uda(weak=crop)", labels=20)
    assert uda["counts"]["steps"] == 4
    assert uda["counts"]["images"] == 200 * 15 and uda["counts"]["forward"] == 4 * 15


def test_no_two_images_of_a_step_share_an_address(digits: Dataset) -> None:
    """Labelled and unlabelled streams hold the same images, several times: every copy draws anew."""
    training = prepare(replace(SHORT, augment="crop", strategy="uda(ratio=4, weak=crop)", labels_per_class=1), digits)
    seen: list[tuple[int, ...]] = []
    for pipeline in training.method.pipelines:
        run = pipeline.run

        def noted(batch: object, noise: object, run: object = run, **more: object) -> object:
            seen.extend(tuple(key) for key in noise.key[:, None].tolist())
            return run(batch, noise, **more)

        pipeline.run = noted
    Trainer(training).train_epoch()
    assert len(seen) == 4 * 50 * (1 + 4 + 4)
    # Weak and strong views of one image share nothing either, since the view is part of the address.
    assert len(set(seen)) == len(seen)


def test_uda_needs_a_pipeline_that_exists(digits: Dataset) -> None:
    with pytest.raises(InputError, match="unknown augmentation"):
        trained(digits, "crop", "uda(weak=cropp)")
    with pytest.raises(InputError, match="has no second view"):
        trained(digits, "crop", "uda", augment2="flip")


@pytest.mark.slow
@pytest.mark.parametrize("strong", ["crop+randaugment", "crop+keep_randaugment(saliency=low_resolution)"])
def test_with_two_labels_per_class_it_beats_supervised_training(digits: Dataset, strong: str) -> None:
    """On the augmentation that its labelled images get. Supervised training on the strong one does as well here."""
    gains = []
    for seed in range(3):
        settings = replace(SHORT, epochs=40, batch_size=20, labels_per_class=2, seed=seed, lr=0.03)
        found = [
            Trainer(prepare(replace(settings, augment=augment, strategy=strategy), digits)).run()["accuracy"]
            for augment, strategy in (("crop", "erm"), (strong, "uda(weak=crop, ratio=4)"))
        ]
        gains.append(found[1] - found[0])
    assert min(gains) > 0 and sum(gains) / 3 > 3, gains
