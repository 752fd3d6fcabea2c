"""Trained weights through the commands: several networks' trainings, two processes, and what is done with a finished run."""

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from augury.cli import main
from augury.core.errors import InputError
from augury.jobs.evaluate import evaluate
from augury.jobs.export import export
from augury.jobs.front import compare, fit
from augury.jobs.predict import predict
from augury.jobs.recommend.settings import RecommendSettings
from augury.jobs.runs import Run
from augury.train.engine.settings import Settings
from augury.train.engine.tuning import layered

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A network of the first half of the digits' classes would be another data set; here it is all of them, briefly."""
    place = tmp_path_factory.mktemp("weights")
    return fit("digits", model="resnet20", epochs=1, batch_size=50, image_size=16, output=place / "run", quiet=True)


def run_of(*words: object) -> int:
    return main([str(word) for word in words])


def test_one_flag_gives_sound_settings_and_flags_beside_it_win(pretrained: Run) -> None:
    start = {"data": "digits", "pretrained": str(pretrained.path)}
    plain = layered(start)
    assert (plain["opt"], plain["layer_decay"], plain["model"]) == ("adamw", 0.75, "resnet20")
    assert layered({**start, "tune": "none"}) == {**start, "model": "resnet20"}
    probe = Settings.of(layered({"lr": 0.03, "opt": "sgd"}, {**start, "tune": "probe", "lr": 0.5}), "test")
    assert (probe.freeze, probe.lr, probe.opt, probe.layer_decay) == ("backbone", 0.5, "adamw", None)
    # A config.yaml holds every setting, which a preset beside it must not move.
    written = Settings.of(layered({**start, "tune": "probe"}), "test").dict()
    assert Settings.of(layered(written), "test").dict() == written
    assert layered(written, {"lr": 0.25})["lr"] == 0.25
    with pytest.raises(InputError, match="--tune probe: starts from trained weights; add --pretrained"):
        layered({"data": "digits", "tune": "probe"})
    with pytest.raises(InputError, match="unknown preset 'prob'; did you mean 'probe'"):
        layered({**start, "tune": "prob"})
    assert layered({"model": "timm:test_resnet(pretrained=true)", "tune": "probe"})["freeze"] == "backbone"


def test_recommendations_start_from_weights_too(pretrained: Run) -> None:
    chosen = RecommendSettings.of({"data": "digits", "pretrained": str(pretrained.path)}, "test")
    training = chosen.training(epochs=2)
    assert (training.opt, training.lr, training.model, training.epochs) == ("adamw", 1e-3, "resnet20", 2)
    assert chosen.network == "resnet20"
    assert RecommendSettings.of({"data": "digits"}, "test").training().lr == 0.1
    probe = RecommendSettings.of({"data": "digits", "pretrained": str(pretrained.path), "tune": "probe", "lr": 0.5}, "test")
    assert (probe.training().freeze, probe.training().lr) == ("backbone", 0.5)


def test_a_finished_run_is_used_without_its_weights(pretrained: Run, tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes((pretrained.path / "model.safetensors").read_bytes())
    words = ("--model", "resnet20", "--image-size", 16, "--epochs", 1, "--batch-size", 50, "--quiet", "--normalization", "data")
    assert run_of("train", "digits", "--pretrained", weights, "--tune", "probe", *words, "--output", tmp_path / "run") == 0
    weights.unlink()
    result = evaluate(tmp_path / "run")
    assert result["accuracy"] > 0
    picture = tmp_path / "one.png"
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(picture)
    out = io.StringIO()
    predict(tmp_path / "run", [picture], out)
    assert out.getvalue().count("\n") == 2
    card = export(tmp_path / "run", tmp_path / "exported")
    assert card.model == "resnet20"
    found = safetensors.torch.load_file(tmp_path / "exported" / "backbone.safetensors")
    before = pretrained.networks[0].state_dict()
    assert all(torch.equal(value, before[key]) for key, value in found.items())  # a probe leaves the backbone


def test_the_config_of_a_run_repeats_it(pretrained: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes((pretrained.path / "model.safetensors").read_bytes())
    words = ("--model", "resnet20", "--image-size", 16, "--epochs", 1, "--batch-size", 50, "--quiet")
    assert run_of("train", "digits", "--pretrained", weights, *words, "--output", tmp_path / "one") == 0
    config = tmp_path / "one" / "config.yaml"
    assert run_of("train", "-c", config, "--quiet", "--output", tmp_path / "two") == 0
    one, two = (safetensors.torch.load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert all(torch.equal(one[key], two[key]) for key in one)
    safetensors.torch.save_file({key: value + 1 for key, value in one.items()}, weights)
    assert run_of("train", "-c", config, "--quiet", "--output", tmp_path / "three") == 2
    assert "weights.safetensors are not those it was started from" in capsys.readouterr().err


def test_comparisons_and_searches_start_from_weights(pretrained: Run, tmp_path: Path) -> None:
    common: dict[str, Any] = {"epochs": 1, "batch_size": 50, "quiet": True}
    found = compare(
        "digits", augment=["none", "cutout"], pretrained=pretrained.path, tune="probe", seeds=1,
        output=tmp_path / "compared", **common,
    )  # fmt: skip
    assert any("frozen: all but the head" in note for note in found.result["notes"])
    before = pretrained.networks[0].state_dict()
    for folder in (tmp_path / "compared" / "runs").iterdir():
        own = safetensors.torch.load_file(folder / "model.safetensors")
        assert all(torch.equal(own[key], before[key]) for key in own if not key.startswith("head."))
    words = ("--method", "randaugment", "--budget", 1, "--seeds", 1, "--final-epochs", 1, "--controls", "none", "--epochs", 1)
    start = ("--pretrained", pretrained.path, "--freeze", 2, "--batch-size", 50, "--quiet")
    assert run_of("search", "digits", *words, *start, "--output", tmp_path / "searched") == 0


@pytest.mark.slow
def test_two_processes_keep_what_is_frozen_and_agree(pretrained: Run, tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "augury", "train", "digits",
        "--pretrained", str(pretrained.path), "--freeze", "2", "--epochs", "2", "--batch-size", "50", "--quiet", "--output",
        str(tmp_path / "run"),
    ]  # fmt: skip
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
    own, before = safetensors.torch.load_file(tmp_path / "run" / "model.safetensors"), pretrained.networks[0].state_dict()
    for key, value in own.items():
        frozen = key.split(".")[0] in ("stem", "stage1", "stage2")
        assert torch.equal(value, before[key]) == frozen or not frozen, key
    assert not torch.equal(own["stage3.0.conv1.weight"], before["stage3.0.conv1.weight"])


@pytest.mark.slow
def test_fine_tuning_beats_training_from_scratch_on_few_images(tmp_path: Path) -> None:
    """Digits upright, then four of each lying on their sides, under other names."""
    weights = fit("digits", model="resnet20", epochs=15, batch_size=32, image_size=16, output=tmp_path / "weights", quiet=True)
    data, dataset = tmp_path / "turned", weights.dataset
    data.mkdir()
    few = torch.cat([(dataset.train.labels == number).nonzero()[:4, 0] for number in range(10)])
    for part, split in (("train", dataset.train[few]), ("test", dataset.test[torch.arange(500)])):
        turned = np.rot90(split.images.numpy(), axes=(2, 3)).transpose(0, 2, 3, 1)
        np.savez(data / f"{part}.npz", x=np.ascontiguousarray(turned), y=(split.labels.numpy() + 3) % 10)
    common: dict[str, Any] = {"model": "resnet20", "epochs": 10, "batch_size": 16, "quiet": True}
    scratch = fit(str(data), output=tmp_path / "scratch", lr=0.05, **common)
    tuned = fit(str(data), output=tmp_path / "tuned", pretrained=weights.path, lr=0.003, **common)
    assert tuned.accuracy > scratch.accuracy + 10
