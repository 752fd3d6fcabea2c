"""Re-identification: folders, batches, losses and rankings against hand-computed cases, and trainings that find people."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from market import write_market
from torch import nn

import augury
from augury.core.errors import InputError
from augury.jobs.evaluate import evaluate
from augury.jobs.train import train
from augury.train.data.dataset import Dataset, Split, load
from augury.train.engine.prepare import prepare
from augury.train.engine.retrieval import ranked
from augury.train.engine.settings import Settings
from augury.train.engine.streams import grouped_order
from augury.train.strategies.reid import Centres, batch_hard


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_market(tmp_path_factory.mktemp("data") / "market")


@pytest.fixture(scope="module")
def people(folder: Path) -> Dataset:
    return load(str(folder))


def test_names_say_who_and_where(people: Dataset) -> None:
    assert people.classes == tuple(f"{n:04d}" for n in range(1, 9)) and people.group_names == ("c1", "c2", "c3")
    assert people.retrieval is not None
    query, gallery = people.retrieval.query, people.retrieval.gallery
    assert len(query.ids) == 8 * 3 and len(gallery.ids) == 8 * 3 * 3 + 2
    assert set(query.labels.tolist()) == set(range(9, 17)) and Counter(query.groups.tolist()) == {1: 8, 2: 8, 3: 8}
    assert {-1, 0} < set(gallery.labels.tolist())
    ids = torch.cat([part.ids for part in (people.train, people.validation, people.test, query, gallery)])
    assert len(ids.unique()) == len(ids)
    assert len(people.train.ids) + len(people.validation.ids) + len(people.test.ids) == 8 * 12


def test_other_folders_are_refused(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "bounding_box_train").mkdir()
    with pytest.raises(InputError, match="no query/"):
        load(str(tmp_path))
    for name in ("query", "bounding_box_test"):
        (tmp_path / name).mkdir()
    with pytest.raises(InputError, match="holds no file named IDENTITY_cCAMERA"):
        load(str(tmp_path))
    source = sorted((folder / "query").iterdir())[0].read_bytes()
    for name, file in (("bounding_box_train", "0001_c1.png"), ("query", "0002_c1.png"), ("bounding_box_test", "0002_c1.png")):
        (tmp_path / name / file).write_bytes(source)
    with pytest.raises(InputError, match="retrieval needs one"):
        load(str(tmp_path))


def test_a_ranking_by_hand() -> None:
    """Two queries. The first: hits at places 1 and 3 once junk and its own camera are out; the second: its hit comes second."""
    among = torch.tensor([7, -1, 7, 5, 7, 5])
    cameras = torch.tensor([1, 2, 2, 2, 3, 1])
    distance = torch.tensor([[0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [0.9, 0.1, 0.2, 0.3, 0.4, 0.05]])
    found = ranked(distance, torch.tensor([7, 5]), torch.tensor([1, 1]), among, cameras)
    # Query 1: (7,c1) own camera and -1 are out; order 7c2 hit, 5c2, 7c3 hit, 5c1: AP (1 + 2/3) / 2.
    # Query 2: 5c1 and -1 are out; order 7c2, 5c2 hit, 7c3, 7c1: AP 1/2.
    assert found.queries == 2 and found.rank1 == pytest.approx(50) and found.rank5 == pytest.approx(100)
    assert found.mean_average_precision == pytest.approx(100 * ((1 + 2 / 3) / 2 + 0.5) / 2)


def test_a_query_with_nothing_to_find_is_not_counted() -> None:
    found = ranked(torch.rand(2, 3), torch.tensor([1, 2]), torch.tensor([1, 1]), torch.tensor([1, 2, 0]), torch.tensor([1, 2, 1]))
    assert found.queries == 1
    assert ranked(torch.rand(1, 1), torch.tensor([1]), torch.tensor([1]), torch.tensor([1]), torch.tensor([1])).queries == 0


def test_triplets_are_the_hardest_by_brute_force() -> None:
    features = torch.randn(12, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64).float()
    labels = torch.arange(12) % 3
    found = batch_hard(features, labels, 0.3)
    for row in range(12):
        distances = [float((features[row] - other).norm()) for other in features]
        own = max(d for k, d in enumerate(distances) if labels[k] == labels[row] and k != row)
        other = min(d for k, d in enumerate(distances) if labels[k] != labels[row])
        assert float(found[row]) == pytest.approx(max(0.0, own - other + 0.3), abs=1e-5)
    assert batch_hard(features, torch.arange(12), 0.3).tolist() == [0.0] * 12
    assert batch_hard(features, torch.zeros(12, dtype=torch.int64), 0.3).tolist() == [0.0] * 12


def test_the_gradient_of_equal_features_is_finite() -> None:
    features = torch.zeros(4, 3, requires_grad=True)
    batch_hard(features, torch.tensor([0, 0, 1, 1]), 0.3).sum().backward()
    assert bool(features.grad.isfinite().all())


def test_batches_hold_p_classes_of_k_images() -> None:
    labels = torch.repeat_interleave(torch.arange(9), torch.tensor([5, 3, 8, 4, 4, 1, 9, 6, 4]))
    split = Split(torch.zeros(len(labels), 1, 1, 1, dtype=torch.uint8), labels, torch.arange(len(labels)) + 100)
    rows, visits = grouped_order(split, 0, 3, 96, batch_size=16, each=4)
    assert len(rows) == 96
    for batch in rows.split(16):
        assert sorted(Counter(labels[batch].tolist()).values()) == [4] * 4
    pairs = list(zip(rows.tolist(), visits.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs), "an image is drawn twice at one address"
    again, _ = grouped_order(split, 0, 3, 96, batch_size=16, each=4)
    other, _ = grouped_order(split, 0, 4, 96, batch_size=16, each=4)
    assert torch.equal(rows, again) and not torch.equal(rows, other)
    few, _ = grouped_order(replace(split, labels=labels % 2), 0, 0, 32, batch_size=16, each=4)
    assert all(sorted(Counter((labels % 2)[batch].tolist()).values()) == [8, 8] for batch in few.split(16))


def test_the_bnneck_stands_between_features_and_a_head_without_bias() -> None:
    for name in ("small_cnn", "torchvision:resnet18"):
        model = augury.model(f"bnneck({name})", classes=5)
        images = torch.randn(4, 3, 32, 32)
        model.train()
        seen: list[torch.Tensor] = []
        model.bottleneck.register_forward_pre_hook(lambda module, given, seen=seen: seen.append(given[0]))
        logits = model(images)
        normal = (seen[0] - seen[0].mean(0)) / (seen[0].var(0, unbiased=False) + 1e-5).sqrt()
        torch.testing.assert_close(logits, normal @ model.head.weight.T, rtol=1e-4, atol=1e-5)
        assert model.head.bias is None and not model.bottleneck.bias.requires_grad
        assert all(model.get_submodule(tap) is not None for tap in model.taps) and len(model.taps) > 1
        assert augury.saliency(model).map(images, torch.zeros(4, dtype=torch.int64)).shape == (4, 32, 32)


@pytest.mark.parametrize("name", ["resnet18", "torchvision:resnet18", "torchvision:resnet50"])
def test_the_last_stage_may_keep_its_size(name: str) -> None:
    images = torch.randn(1, 3, 64, 32)
    sizes = {}
    for stride in (1, 2):
        model = augury.model(f"bnneck({name}, last_stride={stride})", classes=5).eval()
        seen: list[torch.Tensor] = []
        last = model.get_submodule(model.taps[-1])
        last.register_forward_hook(lambda module, given, made, seen=seen: seen.append(made))
        model(images)
        sizes[stride] = tuple(seen[0].shape[-2:])
    assert sizes[1] == (2 * sizes[2][0], 2 * sizes[2][1])


def test_a_network_whose_last_stage_halves_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="last_stride=1"):
        augury.model("bnneck(small_cnn, last_stride=1)", classes=5)


def test_centres_follow_the_features_by_the_published_rule() -> None:
    centres = Centres(3, 2)
    centres.centres.copy_(torch.tensor([[1.0, 0.0], [0.0, 4.0], [7.0, 7.0]]))
    features, labels = torch.tensor([[3.0, 0.0], [5.0, 2.0], [0.0, 0.0]]), torch.tensor([0, 0, 1])
    assert centres.distances(features, labels).tolist() == pytest.approx([4.0, 20.0, 16.0])
    centres.move(features, labels, 0.5)
    # Wen et al., equation 4: class 0 by .5 ((1-3) + (1-5), (0-0) + (0-2)) / 3, class 1 by .5 (0, 4) / 2, class 2 not at all.
    assert centres.centres.flatten().tolist() == pytest.approx([2.0, 1 / 3, 0.0, 3.0, 7.0, 7.0])


def test_the_centre_loss_is_added_and_its_centres_are_kept(people: Dataset, tmp_path: Path) -> None:
    settings = Settings("x", strategy="reid(centre=0.1)", model="bnneck(small_cnn)", batch_size=16)
    training, without = (prepare(s, people) for s in (settings, replace(settings, strategy="reid(centre=0)")))
    assert len(without.method.extra) == 0
    split = training.data.train
    batch = augury.Batch(split.images[:16].float() / 255, augury.Targets.of(split.labels[:16], 8), split.ids[:16])
    steps = [t.strategy(t.model, lambda view=0, pipeline=0, stream="train": batch) for t in (training, without)]
    features = training.model.network(batch.images)
    torch.testing.assert_close(steps[0].loss, steps[1].loss + 0.1 * features.square().sum(1).mean())
    assert float(steps[0].logs["centre"]) > 0
    kept = training.method.extra.state_dict()["centres.centres"]
    assert bool(kept[split.labels[:16]].abs().sum() > 0)


def test_what_reid_needs_is_said(people: Dataset) -> None:
    settings = Settings("digits", strategy="reid", batch_size=32)
    with pytest.raises(InputError, match=r"--model bnneck\(resnet18\)"):
        prepare(settings, people)
    with pytest.raises(InputError, match="give a multiple, 8 or more"):
        prepare(replace(settings, model="bnneck(small_cnn)", batch_size=30), people)


@pytest.mark.parametrize("augment", ["flip+random_erasing", "flip+keep_random_erasing"])
def test_a_training_learns_to_find_people_it_never_saw(tmp_path: Path, folder: Path, augment: str) -> None:
    settings = Settings(
        str(folder), model="bnneck(small_cnn)", strategy="reid", augment=augment, batch_size=16, epochs=5
    )  # fmt: skip
    result = train(settings, tmp_path / "run", quiet=True)
    found = result["retrieval"]
    assert found["queries"] == 24
    # Chance is 2 x 3 right ones among 8 x 9: near 10 % mAP.
    assert found["rank1"] > 60 and found["map"] > 45
    assert evaluate(tmp_path / "run")["retrieval"] == found


def test_the_loss_is_the_sum_of_its_parts(people: Dataset) -> None:
    training = prepare(
        Settings("x", strategy="reid(triplet=2, smoothing=0.2, centre=0)", model="bnneck(small_cnn)", batch_size=16), people
    )
    split = training.data.train
    batch = augury.Batch(split.images[:16].float() / 255, augury.Targets.of(split.labels[:16], 8), split.ids[:16])
    training.model.train()
    step = training.strategy(training.model, lambda view=0, pipeline=0, stream="train": batch)
    features = training.model.network(batch.images)
    identity = nn.functional.cross_entropy(
        training.model.head(training.model.bottleneck(features)), split.labels[:16], label_smoothing=0.2
    )
    torch.testing.assert_close(step.loss, identity + 2 * batch_hard(features, split.labels[:16], 0.3).mean())
