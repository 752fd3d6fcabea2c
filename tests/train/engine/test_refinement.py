"""Refined augmentation: what is off when, the rate, what is kept, and the gap that it closes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from augury.augment.pipeline import Pipeline
from augury.augment.stage import PlanStage
from augury.core.errors import InputError
from augury.train.data.dataset import Dataset, load
from augury.train.engine import checkpoint
from augury.train.engine.prepare import prepare
from augury.train.engine.refinement import clock_at, intensity_at
from augury.train.engine.run import Trainer
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.schedule import rate_at
from augury.train.engine.settings import Settings
from augury.train.engine.step import views

SHORT = Settings("digits", augment="crop+flip+cutout(length=8)+mixup", epochs=2, batch_size=50, refine_epochs=2)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    found = load("digits")
    few = {n: replace(p, images=p.images[:100], labels=p.labels[:100], ids=p.ids[:100]) for n, p in vars(found).items()
           if n in ("train", "validation", "test")}  # fmt: skip
    return replace(found, **few)


def sampled(monkeypatch: pytest.MonkeyPatch, digits: Dataset, settings: Settings) -> dict[int, set[str]]:
    """The stages that drew anything in each epoch of a training, 1-based."""
    seen: dict[int, set[str]] = {}
    plain = PlanStage.sample

    def noted(self: PlanStage, batch: Any, noise: Any, clock: Any = None, intensity: Any = 1.0) -> Any:
        trace = plain(self, batch, noise, clock, intensity)
        if bool(trace["on"].any()):
            seen.setdefault(clock.epoch + 1, set()).add(self.name)
        return trace

    monkeypatch.setattr(PlanStage, "sample", noted)
    Trainer(prepare(settings, digits)).run()
    return seen


STANDARD, EVERYTHING = {"crop", "flip"}, {"crop", "flip", "cutout", "mixup"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [EVERYTHING, EVERYTHING, STANDARD, STANDARD]),
        ({"refine_mode": "nothing"}, [EVERYTHING, EVERYTHING, None, None]),
        ({"refine_mode": "gradual"}, [EVERYTHING, EVERYTHING, EVERYTHING, STANDARD]),
        ({"refine_epochs": 0, "refine_at": 1}, [EVERYTHING, STANDARD]),
        ({"augment": "crop+flip+autoaugment+inaugment+keep(cutout, p=0)"}, [..., ..., STANDARD, STANDARD]),
    ],
)
def test_intensive_stages_are_off_in_the_refinement(
    monkeypatch: pytest.MonkeyPatch, digits: Dataset, changes: dict, expected: list
) -> None:
    seen = sampled(monkeypatch, digits, replace(SHORT, **changes))
    for epoch, stages in enumerate(expected, start=1):
        if stages is ...:
            assert seen[epoch] > STANDARD
        else:
            assert seen.get(epoch) == stages
    assert max(seen) <= len(expected)


def test_gradual_falls_linearly_to_zero_and_so_does_the_share_of_mixed_images(digits: Dataset) -> None:
    settings = replace(SHORT, refine_mode="gradual", refine_epochs=4)
    assert [intensity_at(settings, epoch) for epoch in range(6)] == pytest.approx([1, 1, 0.75, 0.5, 0.25, 0])
    assert [intensity_at(replace(SHORT, refine_epochs=0, refine_at=1), epoch) for epoch in range(2)] == [1, 0]
    training = prepare(replace(settings, augment="mixup"), load("digits"))
    shares = []
    for epoch in range(6):
        from augury.train.engine.feed import Share

        rows = torch.arange(200)
        batch = views(training, Share(rows, rows * 0, 1.0, 200), clock_at(settings, epoch, 0), {})()
        assert batch.targets is not None
        shares.append(float((batch.targets.weight.max(1).values < 1).float().mean()))
    assert shares[0] > 0.95 and shares[5] == 0
    assert shares[2:5] == pytest.approx([0.75, 0.5, 0.25], abs=0.1)


def test_stage_one_does_not_know_of_the_refinement(digits: Dataset) -> None:
    """The weights at its end are those of the training without one, and the momentum goes on."""
    plain, refined = prepare(replace(SHORT, refine_epochs=0), digits), prepare(SHORT, digits)
    before = Trainer(plain).run()
    rows: list[dict] = []
    result = Trainer(refined).run(None, rows.append)
    for name, value in plain.model.state_dict().items():
        assert torch.equal(value, refined.stage_one[name])
    assert {k: result["stage_one"][k] for k in ("accuracy", "loss", "best")} == {k: before[k] for k in ("accuracy", "loss", "best")}
    assert result["stage_one"]["epoch"] == 2 and result["accuracy"] != before["accuracy"]
    assert result["counts"]["steps"] == 2 * before["counts"]["steps"]
    assert [row["intensity"] for row in rows] == [1, 1, 0, 0]


def test_momentum_is_kept(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    training = prepare(SHORT, digits)
    for _ in range(2):
        Trainer(training).train_epoch()
    before = [state["momentum_buffer"].clone() for state in training.optimizer.state.values()]
    assert all(bool(b.abs().sum() > 0) for b in before)
    Trainer(training).open_epoch()
    assert all(torch.equal(a, s["momentum_buffer"]) for a, s in zip(before, training.optimizer.state.values(), strict=True))


def rates(settings: Settings, steps: int = 10) -> list[float]:
    return [rate_at(settings, epoch * steps, steps) for epoch in range(settings.total_epochs)]


def test_the_rate_of_the_refinement() -> None:
    paper = Settings("x", epochs=400, sched="multistep", decay_milestones=(150, 275), decay_rate=0.1, refine_epochs=50)
    found = rates(paper)
    assert found[399] == pytest.approx(1e-3) and found[400:] == [found[399]] * 50
    assert found[:400] == rates(replace(paper, refine_epochs=0))
    assert rates(replace(paper, sched="cosine"))[400:] == [1e-3] * 50
    assert rates(replace(paper, sched="cosine", opt="adamw", lr=1e-3))[400:] == pytest.approx([1e-5] * 50)
    assert rates(replace(paper, refine_lr=0.02))[400:] == [0.02] * 50
    within = replace(paper, refine_epochs=0, refine_at=200)
    assert rates(within) == rates(replace(within, refine_at=None))
    assert rates(replace(within, refine_lr=5e-4))[200:] == [5e-4] * 200


def test_stage_one_is_kept_and_resuming_within_the_refinement_is_exact(tmp_path: Path, digits: Dataset) -> None:
    settings = replace(SHORT, model_ema_decay=0.9)
    unbroken = prepare(settings, digits)
    whole = Trainer(unbroken).run()
    directory = RunDirectory.open(tmp_path, settings.dict())

    def interrupt(row: dict) -> None:
        if row["epoch"] == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Trainer(prepare(settings, digits)).run(directory, interrupt)
    kept = checkpoint.read(tmp_path / checkpoint.STAGE_ONE)
    assert kept is not None and kept.state["epoch"] == 2
    resumed = prepare(settings, digits)
    again = Trainer(resumed).run(directory)
    for name, value in unbroken.shown.state_dict().items():
        assert torch.equal(value, resumed.shown.state_dict()[name])
    assert again["stage_one"] == whole["stage_one"] and again["accuracy"] == whole["accuracy"]
    assert checkpoint.read(tmp_path / checkpoint.STAGE_ONE).state["epoch"] == 2  # type: ignore[union-attr]
    directory.clear()
    assert not (tmp_path / checkpoint.STAGE_ONE).exists()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"refine_at": 1}, "--refine-at: given together"),
        ({"refine_epochs": 0, "refine_at": 2}, "--refine-at 2: must lie before"),
        ({"refine_epochs": 0, "refine_lr": 0.1}, "--refine-lr: nothing is refined"),
        ({"refine_epochs": 0, "refine_mode": "gradual"}, "--refine-mode: nothing is refined"),
    ],
)
def test_what_makes_no_sense_is_refused(digits: Dataset, changes: dict, named: str) -> None:
    with pytest.raises(InputError, match=named):
        prepare(replace(SHORT, **changes), digits)


def test_without_intensive_stages_the_training_goes_on_and_says_so(digits: Dataset) -> None:
    """A comparison's reference takes as many steps as the rows that are refined."""
    assert "no intensive stage" in prepare(replace(SHORT, augment="crop+flip"), digits).notes[0]
    # The paper also refines the standard augmentation, without any.
    assert not prepare(replace(SHORT, augment="crop+flip", refine_mode="nothing"), digits).notes
    assert not prepare(replace(SHORT, augment="crop", strategy="manifold_mixup"), digits).notes


def test_the_risk_gap_against_a_plain_computation(digits: Dataset) -> None:
    """Two epochs, the risks of the second by hand: cross-entropies in evaluation mode on the very images it was trained on."""
    settings = replace(SHORT, augment="crop+mixup", risk_every=1)
    training, rows = prepare(settings, digits), []
    Trainer(training).run(None, rows.append)
    risks = [row["risk"] for row in rows]
    model, split = training.model.eval(), digits.train
    with torch.no_grad():
        clean = functional.cross_entropy(model(training.method.normalize.normalise(split.images)), split.labels)
    assert risks[-1]["clean"] == pytest.approx(clean.item(), rel=1e-5)
    for epoch, risk in enumerate(risks, start=1):
        assert risk["excess"] == pytest.approx(risk["augmented"] - risk["label_entropy"])
        assert risk["augmented"] >= risk["label_entropy"] >= 0  # cross-entropy never falls below the entropy
        if epoch > settings.stage_one:
            assert risk["label_entropy"] == 0
        else:
            # Beta(1, 1) between labels that differ nine times in ten: 0.9 times the mean entropy of a uniform weight, 1/2.
            assert risk["label_entropy"] == pytest.approx(0.45, abs=0.08)


def test_measuring_the_risk_changes_nothing(digits: Dataset) -> None:
    plain, measured = prepare(SHORT, digits), prepare(replace(SHORT, risk_epochs=(1, 3)), digits)
    rows: list[dict] = []
    expected, found = Trainer(plain).run(), Trainer(measured).run(None, rows.append)
    assert [row["epoch"] for row in rows if "risk" in row] == [1, 3]
    assert found["counts"] == expected["counts"]
    for name, value in plain.model.state_dict().items():
        assert torch.equal(value, measured.model.state_dict()[name])


def test_augmented_risk_of_manifold_mixup_has_its_label_entropy(digits: Dataset) -> None:
    rows: list[dict] = []
    settings = replace(SHORT, augment="crop", strategy="manifold_mixup(alpha=1)", risk_every=2)
    Trainer(prepare(settings, digits)).run(None, rows.append)
    assert rows[1]["risk"]["label_entropy"] == pytest.approx(0.45, abs=0.08)
    assert rows[3]["risk"]["label_entropy"] == 0


def test_every_stage_says_whether_it_is_intensive() -> None:
    from augury.augment.build import pipeline

    chain: Pipeline = pipeline("batch_augment(2)+crop+flip+flip_vertical+resized_crop+randaugment+augmix+inaugment+cutmix")
    assert [stage.name for stage in chain.stages if not stage.intensive] == [
        "batch_augment", "crop", "flip", "flip_vertical", "resized_crop"
    ]  # fmt: skip
