"""A measurement sees what the training saw: the same images, policies and mixes, within the network too."""

from dataclasses import replace
from pathlib import Path

import pytest
from toys import subject, toy

from augury.core.errors import InputError
from augury.explain.measurements.affinity_diversity import affinity_diversity
from augury.explain.measurements.risk_gap import risk_gap
from augury.jobs.diagnose import subjects_of
from augury.jobs.runs import open_run
from augury.jobs.train import train
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.settings import Settings

SHORT = Settings("digits", model="small_cnn(width=4)", epochs=2, batch_size=50, fraction=0.5, risk_every=1, device="cpu")
OF_THEIR_OWN = {
    "manifold_mixup": {"strategy": "manifold_mixup", "augment": "crop"},
    "adversarial_autoaugment": {"strategy": "adversarial_autoaugment(policies=2)", "augment": "crop"},
    "uncertainty": {"strategy": "uncertainty(candidates=2)", "augment": "crop"},
    "mixup": {"augment": "crop+mixup"},
    "ait": {"strategy": "ait", "augment": "crop+cutmix(p=1)", "augment2": "none"},
    "keep": {"augment": "crop+keep_cutout(length=8)"},
}


@pytest.mark.parametrize("name", OF_THEIR_OWN)
def test_the_gap_is_the_trainings_own(name: str, tmp_path: Path) -> None:
    settings = replace(SHORT, **OF_THEIR_OWN[name])
    train(settings, tmp_path / "run", quiet=True)
    logged = RunDirectory(tmp_path / "run").metrics()[-1]["risk"]
    run = open_run(tmp_path / "run", "cpu")
    measured = risk_gap(subjects_of([run]), run.dataset, images=None).values["rows"][0]["measured"][0]
    assert measured["clean"] == pytest.approx(logged["clean"], rel=1e-5)
    assert measured["augmented"] == pytest.approx(logged["augmented"], rel=1e-5)
    assert measured["floor"] == pytest.approx(logged["label_entropy"], abs=1e-6)
    if "mix" in name:
        assert measured["floor"] > 0.1


def test_a_refined_run_is_measured_with_what_stage_one_saw_and_without(tmp_path: Path) -> None:
    settings = replace(SHORT, strategy="manifold_mixup", augment="crop", epochs=1, refine_epochs=1)
    train(settings, tmp_path / "run", quiet=True)
    run = open_run(tmp_path / "run", "cpu")
    measured = risk_gap(subjects_of([run]), run.dataset, images=None).values["rows"][0]["measured"][0]
    logged = RunDirectory(tmp_path / "run").metrics()[-1]["risk"]
    assert logged["label_entropy"] == 0 and measured["floor"] > 0.1
    assert measured["refined"] == pytest.approx(logged["augmented"], rel=0.2) and measured["refined"] < measured["augmented"]


def test_a_run_whose_strategy_augments_is_no_clean_one() -> None:
    for strategy in ("manifold_mixup", "adversarial_autoaugment(policies=2)", "uncertainty"):
        mixing = replace(subject(), settings=replace(subject().settings, strategy=strategy))
        with pytest.raises(InputError, match="begin with a run on none or standard"):
            affinity_diversity([mixing], toy())
