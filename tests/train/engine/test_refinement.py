"""Refined augmentation: what is off when, the rate, what is kept, and the gap that it closes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from augury.augment.pipeline import Pipeline
from augury.augment.stages.plan import PlanStage
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.targets import Targets
from augury.train.data.dataset import Dataset, load
from augury.train.engine import checkpoint
from augury.train.engine.feed import Share
from augury.train.engine.prepare import prepare
from augury.train.engine.refinement import clock_at, estimating, intensity_at
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


def test_gradual_chance_falls_linearly_to_zero_and_so_does_the_share_of_mixed_images(digits: Dataset) -> None:
    settings = replace(SHORT, refine_mode="gradual_chance", refine_epochs=4)
    assert [intensity_at(settings, epoch) for epoch in range(6)] == pytest.approx([1, 1, 0.75, 0.5, 0.25, 0])
    assert [intensity_at(replace(SHORT, refine_epochs=0, refine_at=1), epoch) for epoch in range(2)] == [1, 0]
    training = prepare(replace(settings, augment="mixup"), load("digits"))
    shares = []
    for epoch in range(6):
        rows = torch.arange(200)
        batch = views(training, Share(rows, rows * 0, 1.0, 200), clock_at(settings, epoch, 0), {})()
        assert batch.targets is not None
        shares.append(float((batch.targets.weight.max(1).values < 1).float().mean()))
    assert shares[0] > 0.95 and shares[5] == 0
    assert shares[2:5] == pytest.approx([0.75, 0.5, 0.25], abs=0.1)


@pytest.mark.parametrize(("augment", "strategy"), [("mixup(alpha=1)", "erm"), ("none", "manifold_mixup(alpha=1, layers=[0])")])
def test_gradual_lets_mixups_parameter_fall(augment: str, strategy: str) -> None:
    # The paper's section 4.1. E[w (1 - w)] of Beta(a, a) is a / (2 (2 a + 1)); a chance that falls instead gives 1/6 of it each.
    settings = Settings(
        "digits", augment=augment, strategy=strategy, epochs=1, batch_size=64, refine_epochs=2, refine_mode="gradual"
    )
    training = prepare(settings, load("digits"))
    rows = torch.arange(200)
    for epoch, alpha in ((0, 1.0), (1, 0.5), (2, 0.0)):
        clock, products = clock_at(settings, epoch, 0), []
        for visit in range(8):
            batch = views(training, Share(rows, torch.full_like(rows, visit), 1.0, len(rows)), clock, {})()
            targets = batch.targets
            if strategy != "erm":
                _, targets = training.strategy.examples(training.model, batch, training.strategy.program(clock))
            assert targets is not None
            # Rows whose partner has the same label do not show their weight.
            differ = targets.index[:, 0] != targets.index[:, -1]
            weight = targets.weight[differ, 0].double()
            products.append(weight * (1 - weight))
        found = torch.cat(products)
        assert (float(found.mean()) if len(found) else 0.0) == pytest.approx(alpha / (2 * (2 * alpha + 1)), abs=0.012)


def test_gradual_lowers_the_chance_of_what_has_no_strength_to_fade() -> None:
    settings = Settings("digits", augment="mixup+cutmix(p=1)", epochs=1, batch_size=64, refine_epochs=2, refine_mode="gradual")
    training = prepare(settings, load("digits"))
    ids = torch.arange(1000)
    batch = Batch(training.data.train.images.repeat(5, 1, 1, 1), Targets.of(training.data.train.labels.repeat(5), 10), ids)
    _, trace = training.method.pipelines[0].run(batch, Noise.of(0, ids), clock=clock_at(settings, 1, 0), intensity=0.5)
    mixed, cut = (float(drawn["on"].float().mean()) for drawn in trace if drawn)
    assert mixed == 1.0 and cut == pytest.approx(0.5, abs=0.06)


def test_stage_one_does_not_know_of_the_refinement(digits: Dataset) -> None:
    """The weights at its end are those of the training without one, and the momentum goes on."""
    plain, refined = prepare(replace(SHORT, refine_epochs=0), digits), prepare(SHORT, digits)
    before = Trainer(plain).run()
    rows: list[dict] = []
    result = Trainer(refined).run(None, rows.append)
    for name, value in plain.model.state_dict().items():
        assert torch.equal(value, refined.progress.stage_one[name])
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


def test_the_refinement_may_have_a_schedule_of_its_own() -> None:
    whole = Settings("x", epochs=4, sched="constant", lr=0.1, refine_epochs=4, refine_sched="cosine")
    assert rates(whole)[4:] == pytest.approx([0.1, 0.1 * (1 + 0.5**0.5) / 2, 0.05, 0.1 * (1 - 0.5**0.5) / 2])
    assert rates(replace(whole, refine_lr=0.02))[4::2] == pytest.approx([0.02, 0.01])
    assert rates(replace(whole, refine_epochs=0, refine_at=2))[2:] == pytest.approx([0.1, 0.05])
    assert rates(replace(whole, sched="cosine"))[4] == pytest.approx(1e-3)


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
    assert "no intensive stage" in prepare(replace(SHORT, augment="crop+flip"), digits).progress.notes[0]
    # The paper also refines the standard augmentation, without any.
    assert not prepare(replace(SHORT, augment="crop+flip", refine_mode="nothing"), digits).progress.notes
    assert not prepare(replace(SHORT, augment="crop", strategy="manifold_mixup"), digits).progress.notes


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
    from augury.augment.names import pipeline

    chain: Pipeline = pipeline("batch_augment(2)+crop+flip+flip_vertical+resized_crop+randaugment+augmix+inaugment+cutmix")
    assert [stage.name for stage in chain.stages if not stage.intensive] == [
        "batch_augment", "crop", "flip", "flip_vertical", "resized_crop"
    ]  # fmt: skip


def test_statistics_alone_are_estimated_anew_and_the_weights_stay(digits: Dataset) -> None:
    settings = replace(SHORT, refine_mode="statistics", epochs=1, refine_epochs=1, model="resnet20")
    training = prepare(settings, digits)
    trainer = Trainer(training)
    trainer.record(trainer.train_epoch())
    before = {name: value.clone() for name, value in training.model.state_dict().items()}
    counts = replace(training.counts)
    trainer.record(trainer.train_epoch())
    after = training.model.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved and all(name.split(".")[-1] in ("running_mean", "running_var", "num_batches_tracked") for name in moved)
    assert training.counts.backward == counts.backward and training.counts.forward > counts.forward
    # The plain mean over the epoch's batches, of the crops and flips that the refinement sees, not a moving average.
    first = next(m for m in training.model.modules() if isinstance(m, torch.nn.BatchNorm2d))
    assert first.momentum == 0.1 and int(first.num_batches_tracked) == 2


def test_statistics_are_the_mean_over_the_batches() -> None:
    layer = torch.nn.BatchNorm1d(3)
    layer.running_mean += 100
    batches = torch.randn(5, 8, 3, generator=torch.Generator().manual_seed(0))
    with estimating([layer]):
        for each in batches:
            layer(each)
    torch.testing.assert_close(layer.running_mean, batches.mean((0, 1)))
    torch.testing.assert_close(layer.running_var, batches.var(1).mean(0))


def test_statistics_without_batch_normalisation_are_refused(digits: Dataset) -> None:
    with pytest.raises(InputError, match="still averages them"):
        prepare(replace(SHORT, refine_mode="statistics", model_ema_decay=0.9), digits)
