"""Selection and patience act within a stage: the refinement always comes, and is judged by its own epochs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from augury.train.data.dataset import Dataset, load
from augury.train.engine import evaluate as evaluation
from augury.train.engine import outcome
from augury.train.engine.prepare import prepare
from augury.train.engine.run import Trainer
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.settings import Settings

SETTINGS = Settings("digits", augment="crop+mixup", epochs=8, batch_size=50, refine_epochs=3, select="validation", patience=2)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    found = load("digits")
    few = {n: replace(p, images=p.images[:100], labels=p.labels[:100], ids=p.ids[:100]) for n, p in vars(found).items()
           if n in ("train", "validation", "test")}  # fmt: skip
    return replace(found, **few)


class Scripted:
    """Validation accuracies as given, one for every epoch that is trained; the test part is evaluated as it is."""

    def __init__(self, accuracies: list[float], validation: Any) -> None:
        self.left, self.images = list(accuracies), validation

    def __call__(self, model: Any, split: Any, *given: Any, **more: Any) -> evaluation.Evaluation:
        found = evaluation.evaluate(model, split, *given, **more)
        return replace(found, accuracy=self.left.pop(0)) if split.ids.equal(self.images.ids) else found


def run(
    monkeypatch: pytest.MonkeyPatch, digits: Dataset, settings: Settings, accuracies: list[float], folder: Path | None = None
) -> tuple[list[int], dict[str, Any], dict[int, dict[str, torch.Tensor]]]:
    """The epochs that were trained, the result, and every epoch's weights."""
    monkeypatch.setattr(outcome, "evaluate", Scripted(accuracies, digits.validation))
    training = prepare(settings, digits)
    epochs: list[int] = []
    weights: dict[int, dict[str, torch.Tensor]] = {}
    plain = outcome.epoch_row

    def noted(row: dict[str, Any]) -> None:
        epochs.append(row["epoch"])

    def seen(t: Any, *given: Any) -> dict[str, Any]:
        weights[t.epoch] = {name: value.clone() for name, value in t.model.state_dict().items()}
        return plain(t, *given)

    monkeypatch.setattr("augury.train.engine.run.epoch_row", seen)
    result = Trainer(training).run(None if folder is None else RunDirectory.open(folder, settings.dict()), noted)
    return epochs, result, weights


def test_patience_ends_stage_one_and_the_refinement_comes(monkeypatch: pytest.MonkeyPatch, digits: Dataset) -> None:
    epochs, result, weights = run(monkeypatch, digits, SETTINGS, [50, 60, 55, 58, 30, 40, 35])
    # Stage one is best at 2 and ends after 4; the refinement keeps the numbers of its epochs, and is best at 10.
    assert epochs == [1, 2, 3, 4, 9, 10, 11]
    assert result["stage_one"]["epoch"] == 2 and result["selected"] == {"by": "validation", "epoch": 10, "validation": 40}
    said = " | ".join(result["notes"])
    assert (
        "stage one ended after epoch 4" in said and "that of epoch 10 of 11" in said and "before refinement that of epoch 2" in said
    )


def test_a_refined_network_is_kept_though_an_epoch_before_it_was_better(monkeypatch: pytest.MonkeyPatch, digits: Dataset) -> None:
    settings = replace(SETTINGS, epochs=2, refine_epochs=2, patience=None)
    training = prepare(settings, digits)
    monkeypatch.setattr(outcome, "evaluate", Scripted([90, 80, 10, 20], digits.validation))
    first = Trainer(training)
    result = first.run()
    assert result["selected"]["epoch"] == 4 and result["stage_one"]["epoch"] == 1


def test_patience_within_the_refinement_counts_its_own_epochs(monkeypatch: pytest.MonkeyPatch, digits: Dataset) -> None:
    settings = replace(SETTINGS, epochs=2, refine_epochs=6, patience=2)
    epochs, result, _ = run(monkeypatch, digits, settings, [90, 95, 50, 40, 30, 20, 10, 0])
    assert epochs == [1, 2, 3, 4, 5] and result["selected"]["epoch"] == 3


def test_without_refinement_patience_ends_the_training(monkeypatch: pytest.MonkeyPatch, digits: Dataset) -> None:
    settings = replace(SETTINGS, refine_epochs=0)
    epochs, result, weights = run(monkeypatch, digits, settings, [50, 60, 55, 58])
    assert epochs == [1, 2, 3, 4] and "stage_one" not in result
    assert result["notes"] == ["the network is that of epoch 2 of 4, chosen by validation accuracy (60.00 %)"]


def test_nothing_is_said_where_the_last_epoch_is_kept(monkeypatch: pytest.MonkeyPatch, digits: Dataset) -> None:
    settings = replace(SETTINGS, select="last", patience=None, epochs=1, refine_epochs=1)
    _, result, _ = run(monkeypatch, digits, settings, [50, 60])
    assert "notes" not in result and "selected" not in result and result["stage_one"]["epoch"] == 1


@pytest.mark.parametrize("killed_after", [2, 4, 5])
def test_a_killed_training_chooses_the_same(
    monkeypatch: pytest.MonkeyPatch, digits: Dataset, tmp_path: Path, killed_after: int
) -> None:
    accuracies = [50.0, 60, 55, 58, 30, 40, 35]
    whole = run(monkeypatch, digits, SETTINGS, accuracies, tmp_path / "whole")[1]

    class Killed(Exception):
        pass

    def kill(row: dict[str, Any]) -> None:
        trained.append(row["epoch"])
        if len(trained) == killed_after:
            raise Killed

    trained: list[int] = []
    monkeypatch.setattr(outcome, "evaluate", Scripted(accuracies, digits.validation))
    with pytest.raises(Killed):
        Trainer(prepare(SETTINGS, digits)).run(RunDirectory.open(tmp_path / "cut", SETTINGS.dict()), kill)
    monkeypatch.setattr(outcome, "evaluate", Scripted(accuracies[killed_after:], digits.validation))
    again = Trainer(prepare(SETTINGS, digits)).run(RunDirectory.open(tmp_path / "cut", SETTINGS.dict(), resume=True))
    assert again["selected"] == whole["selected"] and again["loss"] == whole["loss"]
    assert again["stage_one"]["epoch"] == 2 and again["stage_one"]["loss"] == whole["stage_one"]["loss"]
