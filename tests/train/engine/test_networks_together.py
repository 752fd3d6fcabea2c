"""Several networks and several views in one training: what is saved, what it costs, and that resuming is exact."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from augury.core.errors import InputError
from augury.core.plan import Clock
from augury.train.data.dataset import Dataset, load
from augury.train.engine.prepare import prepare
from augury.train.engine.resume import resume, save
from augury.train.engine.run import Trainer
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.settings import Settings
from augury.train.engine.step import rows_of
from augury.train.engine.training import Training
from augury.train.method.counts import Counts, counting
from augury.train.method.views import StepViews

# strategy: images, forward and backward passes, each as a multiple of the optimiser steps' source images.
COSTS = {
    "erm": (1, 1, 1),
    "ait": (2, 2, 2),
    "ait(mode=reference, at=features)": (2, 2, 2),
    "multi_ait": (2, 2, 2),
    "multi_ait(networks=3)": (3, 3, 3),
    "dml": (1, 2, 2),
    "dml(updates=alternating)": (1, 3, 2),
    "dml(updates=alternating, networks=3)": (1, 5, 3),
    "augmix_jsd": (3, 3, 3),
}


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


@pytest.fixture
def settings() -> Settings:
    return Settings("digits", augment="crop", epochs=1, batch_size=64)


@pytest.mark.parametrize("strategy", COSTS)
def test_every_pass_is_counted_and_nothing_is_free(digits: Dataset, settings: Settings, strategy: str) -> None:
    result = Trainer(prepare(replace(settings, strategy=strategy), digits)).run()
    steps = result["counts"]["steps"]
    assert steps == -(-len(digits.train.ids) // 64)
    images, forward, backward = COSTS[strategy]
    assert result["counts"]["images"] == images * len(digits.train.ids)
    assert (result["counts"]["forward"], result["counts"]["backward"]) == (forward * steps, backward * steps)
    assert all(isinstance(count, int) for count in result["counts"].values())
    assert result["seconds"]["device"] > 0 and result["seconds"]["wall"] >= result["seconds"]["training"]


def test_passes_without_gradient_and_parts_of_a_batch_are_counted_as_what_they_are() -> None:
    network, counts = nn.Linear(2, 2), Counts()
    with counting([network], counts, 8):
        network(torch.zeros(8, 2))
        with torch.no_grad():
            network(torch.zeros(4, 2))
    network(torch.zeros(8, 2))
    assert counts.dict() == {"images": 0, "forward": 1.5, "backward": 1, "steps": 0}


def test_each_network_is_saved_evaluated_and_listed(tmp_path: Path, digits: Dataset, settings: Settings) -> None:
    both = replace(settings, model="small_cnn(width=8),resnet20", strategy="multi_ait", epochs=2)
    directory = RunDirectory.open(tmp_path, both.dict())
    training = prepare(both, digits)
    result = Trainer(training).run(directory)
    assert [n["model"] for n in result["networks"]] == ["small_cnn(width=8)", "resnet20"]
    assert [n["weights"] for n in result["networks"]] == ["model.safetensors", "model_2.safetensors"]
    for number, network in enumerate(training.networks):
        suffix = "_2" if number else ""
        saved = load_file(tmp_path / f"model{suffix}.safetensors")
        assert saved.keys() == network.state_dict().keys()
        assert all(torch.equal(saved[name], value) for name, value in network.state_dict().items())
        found = np.load(tmp_path / f"predictions{suffix}.npz")
        accuracy = 100 * np.mean(found["label"] == found["prediction"])
        assert result["networks"][number]["accuracy"] == pytest.approx(accuracy)
    assert {k: result["networks"][0][k] for k in ("accuracy", "loss", "best")} == {
        k: result[k] for k in ("accuracy", "loss", "best")
    }
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert all(len(row["validation_accuracies"]) == 2 and row["logs"]["consistency"] > 0 for row in rows)
    assert result["networks"][1]["best"] == max(row["validation_accuracies"][1] for row in rows)
    (tmp_path / "model_notes.txt").touch()
    directory.clear()
    assert [p.name for p in tmp_path.iterdir()] == ["model_notes.txt"]


def test_copies_start_apart_and_the_first_as_it_does_alone(digits: Dataset, settings: Settings) -> None:
    alone = prepare(settings, digits).networks[0].state_dict()
    together = prepare(replace(settings, strategy="multi_ait(networks=3)"), digits).networks
    heads = [network.state_dict()["head.weight"] for network in together]
    assert torch.equal(heads[0], alone["head.weight"])
    assert not torch.equal(heads[0], heads[1]) and not torch.equal(heads[1], heads[2])


def test_without_weight_the_first_network_ends_where_plain_training_ends(digits: Dataset, settings: Settings) -> None:
    """Whole trainings, bit for bit: same initial weights, batches, draws and updates."""
    longer = replace(settings, epochs=2, augment="crop+rotate")
    plain = prepare(longer, digits)
    Trainer(plain).run()
    for strategy in ("multi_ait(weight=0)", "dml(weight=0)", "dml(weight=0, updates=alternating)"):
        together = prepare(replace(longer, strategy=strategy), digits)
        Trainer(together).run()
        for name, value in plain.model.state_dict().items():
            assert torch.equal(value, together.networks[0].state_dict()[name]), (strategy, name)


@pytest.mark.parametrize("strategy", ["ait(at=features, similarity=both)", "multi_ait", "dml(updates=alternating)"])
def test_resuming_is_exact(tmp_path: Path, digits: Dataset, settings: Settings, strategy: str) -> None:
    longer = replace(settings, epochs=3, strategy=strategy, augment2="crop+rotate" if "ait" in strategy else None)
    unbroken = prepare(longer, digits)
    whole = Trainer(unbroken).run()
    directory = RunDirectory.open(tmp_path, longer.dict())

    def interrupt(row: dict) -> None:
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Trainer(prepare(longer, digits)).run(directory, interrupt)
    resumed = prepare(longer, digits)
    again = Trainer(resumed).run(directory)
    for name, value in unbroken.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
    assert [again[k] for k in ("networks", "counts")] == [whole[k] for k in ("networks", "counts")]


def test_trained_parts_of_a_strategy_are_in_the_checkpoint(tmp_path: Path, digits: Dataset, settings: Settings) -> None:
    def with_part(training: Training) -> Training:
        training.method.extra["early"] = nn.Linear(2, 2)
        return training

    directory = RunDirectory.open(tmp_path, settings.dict())
    saved = with_part(prepare(settings, digits))
    save(saved, directory.path)
    resumed = with_part(prepare(settings, digits))
    assert not torch.equal(resumed.method.extra["early"].weight, saved.method.extra["early"].weight)  # type: ignore[arg-type]
    resume(resumed, directory)
    assert torch.equal(resumed.method.extra["early"].weight, saved.method.extra["early"].weight)  # type: ignore[arg-type]


def test_views_come_from_their_pipelines_and_the_last_stands_in(digits: Dataset, settings: Settings) -> None:
    training = prepare(replace(settings, strategy="ait", augment="none", augment2="invert(p=1)"), digits)
    views = StepViews({"train": lambda: rows_of(digits.train, torch.arange(8), None, 10)}, training.method.pipelines, 0, Clock())
    shown = [training.method.normalize.restore(views(view=0, pipeline=p).images) for p in range(3)]
    assert torch.equal(shown[0], digits.train.images[:8])
    assert torch.equal(shown[1], 255 - digits.train.images[:8]) and torch.equal(shown[1], shown[2])


def test_two_views_of_one_pipeline_are_drawn_apart(digits: Dataset, settings: Settings) -> None:
    training = prepare(replace(settings, strategy="ait", augment="crop"), digits)
    views = StepViews({"train": lambda: rows_of(digits.train, torch.arange(64), None, 10)}, training.method.pipelines, 0, Clock())
    first, second = views(view=0, pipeline=0).images, views(view=1, pipeline=1).images
    assert (first != second).flatten(1).any(1).float().mean() > 0.9
    assert torch.equal(first, views(view=0, pipeline=0).images)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"model": "small_cnn,resnet20"}, "--strategy erm trains one"),
        ({"model": "small_cnn,resnet20", "strategy": "ait"}, "trains one"),
        ({"model": "small_cnn,small_cnn,resnet20", "strategy": "dml"}, r"dml\(networks=3\)"),
        ({"model": "small_cnn+resnet20"}, "separate several networks by commas"),
        ({"augment2": "crop"}, "--augment2"),
        ({"augment2": "crop", "strategy": "dml"}, "no second view"),
        ({"augment2": "cropp", "strategy": "ait"}, "--augment2: .*'crop'"),
    ],
)
def test_what_does_not_fit_is_refused(digits: Dataset, settings: Settings, values: dict[str, str], named: str) -> None:
    with pytest.raises(InputError, match=named):
        prepare(replace(settings, **values), digits)
