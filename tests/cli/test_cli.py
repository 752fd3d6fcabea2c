"""The command line as a user meets it: what it prints, what it refuses, and that refusing leaves nothing behind."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from augury.cli import main
from augury.train.engine.rundir import RunDirectory

FAST = ["--epochs", "1", "--quiet"]


def run(*arguments: str) -> int:
    try:
        return main(list(arguments))
    except SystemExit as stop:
        return int(stop.code or 0)


REFUSED = [
    (["trian", "digits"], "unknown command 'trian'; did you mean 'train'?"),
    (["train", "digits", "--epochs", "1", "--output", ""], "--output"),
    (["train", "digits", "--epochs", "2", "--warmup-epochs", "2"], "--warmup-epochs 2: must be fewer than --epochs 2"),
    (["train", "digits", "--epochs", "2", "--risk-epochs", "1,3"], "--risk-epochs 3: the training ends after epoch 2"),
    (["train", "digits", "--decay-milestones", "5"], "add --sched multistep"),
    (["train", "digits", "--augment", "none,standard"], "`augury compare` takes lists"),
    (["train", "digits", "--augment", "cutot"], "'cutout'"),
    (["train", "digits", "--augment", "cutout(lenght=8)"], "'length'"),
    (["train", "digits", "--augment", "cutout(length=soft)"], "whole number"),
    (["train", "digits", "--augment", "cutout(length=-1)"], "at least 0"),
    (["train", "digits", "--augment", "flip(p=1.5)"], "from 0 to 1"),
    (["train", "digits", "--augment", "rotate(degrees=gauss(1))"], "gauss"),
    (["train", "digits", "--augment", "solarize(threshold=300)"], "from 0 to 256"),
    (["train", "digits", "--augment", "crop+"], "--augment"),
    (["train", "digits", "--augment", "crop(("], "--augment"),
    (["train", "digits", "--strategy", "erm2"], "'erm'"),
    (["train", "digits", "--strategy", "erm(smoothing=2)"], "from 0"),
    (["train", "digits", "--model", "resnet2"], "resnet"),
    (["train", "digits", "--model", "small_cnn,resnet20"], "--model"),
    (["train", "digits", "--augment2", "crop"], "--augment2"),
    (["train", "digits", "--fraction", "0"], "--fraction"),
    (["train", "digits", "--label-noise", "2"], "--label-noise"),
    (["compare", "digits", "--strategy", "ait,erm", "--augment2", "crop"], "--augment2"),
    (["train", "digits", "--epochs", "0"], "--epochs"),
    (["train", "digits", "--epochs", "many"], "--epochs"),
    (["train", "digits", "--batch-size", "1"], "--batch-size"),
    (["train", "digits", "--lr", "-1"], "--lr"),
    (["train", "digits", "--lr", "nan"], "--lr"),
    (["train", "digits", "--sched", "cosin"], "cosine"),
    (["train", "digits", "--validation", "1.5"], "--validation"),
    (["train", "digits", "--device", "cuda:77"], "--device"),
    (["train", "digits", "--device", "toaster"], "--device"),
    (["train", "digitz"], "digits"),
    (["train", "/nowhere/at/all"], "/nowhere/at/all"),
    (["train"], "`augury train digits --output DIR`"),
    (["compare"], "`augury compare digits --augment none,cutout --output DIR`"),
    (["search", "digits", "--budget", "abc"], "--budget: 'abc'"),
    (["train", "digits", "--strategy", "nope"], "--strategy: unknown strategy 'nope'"),
    (["train", "digits", "--augmnt", "none"], "--augment"),
    (["train", "digits", "spare"], "spare"),
    (["compare", "digits", "--augment", "none,none"], "twice"),
    (["compare", "digits", "--augment", "none", "--seeds", "0"], "--seeds"),
    (["compare", "digits", "--augment", "none,,cutout"], "--augment"),
]


@pytest.mark.parametrize(("arguments", "named"), REFUSED, ids=[" ".join(a) for a, _ in REFUSED])
def test_refused_in_one_line_with_nothing_written(
    arguments: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    assert run(*arguments, "--output", str(output)) == 2
    error = capsys.readouterr().err
    assert error.startswith("augury: ") and error.count("\n") == 1 and named in error
    assert not output.exists()


def test_unwritable_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.touch()
    assert run("train", "digits", *FAST, "--output", str(file / "below")) == 2
    assert "--output" in capsys.readouterr().err


def test_preview_refusals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("preview", "digits", "--augment", "none", "--output", str(tmp_path / "a.gif")) == 2
    assert ".png or .html" in capsys.readouterr().err
    taken = tmp_path / "a.png"
    taken.write_bytes(b"mine")
    assert run("preview", "digits", "--augment", "none", "--output", str(taken)) == 2
    assert taken.read_bytes() == b"mine" and "--overwrite" in capsys.readouterr().err


def test_evaluate_refusals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("evaluate", str(tmp_path / "nothing")) == 2
    assert "no finished run" in capsys.readouterr().err


def test_a_config_file_is_checked_field_by_field(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text, named in (
        ("epoch: 3", "'epochs'"), ("epochs: [1, 2]", "epochs"), ("- a", "setting: value"), ("a: b: c", "YAML"),
        ("augment: !!python/object/apply:os.system ['true']", "YAML"), ("lr: fast", "lr"),
        ("epochs: 3\nlr: [1, 2", "c.yaml line 2: not readable as YAML"),
        ("lr: 1\nseed: 0\nlr: 2", "c.yaml line 3: lr is already in line 1"),
        ("batch-size: 8\nbatch_size: 9", "line 2: batch_size is already in line 1"),
        ("augment:\n  cutout:\n    length: 8\n    length: 9", "line 4: length is already in line 3"),
    ):  # fmt: skip
        file = tmp_path / "c.yaml"
        file.write_text(text)
        assert run("train", "digits", "-c", str(file), "--output", str(tmp_path / "out")) == 2
        error = capsys.readouterr().err
        assert named in error and error.count("\n") == 1, (text, error)
    assert not (tmp_path / "out").exists()


def test_a_config_file_may_write_numbers_without_a_point(tmp_path: Path) -> None:
    """YAML 1.1 takes 1e-2 for a word."""
    file = tmp_path / "c.yaml"
    file.write_text("lr: 1e-2\nweight-decay: 5E-4\nsched: multistep\ndecay_milestones: [5e-1, 1]\nclip_grad: 1e+1\n")
    assert run("train", "digits", "-c", str(file), *FAST, "--output", str(tmp_path / "out")) == 0
    config = RunDirectory(tmp_path / "out").config() or {}
    assert [config[key] for key in ("lr", "weight_decay", "decay_milestones", "clip_grad")] == [0.01, 5e-4, [0.5, 1.0], 10.0]


def test_train_evaluate_and_run_again_from_its_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    assert run("train", "digits", "--augment", "crop+cutout(length=8)", *FAST, "--output", str(first), "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert json.loads((first / "result.json").read_text())["accuracy"] == result["accuracy"]
    assert {p.name for p in first.iterdir()} >= {
        "config.yaml", "result.json", "metrics.jsonl", "predictions.npz", "report.html", "model.safetensors"
    }  # fmt: skip
    assert run("train", "-c", str(first / "config.yaml"), "--quiet", "--output", str(second)) == 0
    assert np.array_equal(*(np.load(d / "predictions.npz")["prediction"] for d in (first, second)))
    assert yaml.safe_load((first / "config.yaml").read_text()) == yaml.safe_load((second / "config.yaml").read_text())
    capsys.readouterr()
    assert run("evaluate", str(first), "--json") == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] == pytest.approx(result["accuracy"])
    assert run("train", "digits", *FAST, "--output", str(first)) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert run("train", "digits", *FAST, "--output", str(first), "--overwrite") == 0


def test_flags_win_over_the_config_file(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("data: digits\nepochs: 7\nbatch-size: 32\naugment:\n  - crop\n")
    file.write_text("data: digits\nepochs: 7\nbatch-size: 32\naugment: crop\n")
    assert run("train", "-c", str(file), *FAST, "--output", str(tmp_path / "o")) == 0
    config = yaml.safe_load((tmp_path / "o" / "config.yaml").read_text())
    assert (config["epochs"], config["batch_size"], config["augment"]) == (1, 32, "crop")


def test_compare_crosses_augmentations_and_strategies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "c"
    arguments = ["compare", "digits", "--augment", "none,cutout(length=8)+mixup", "--strategy", "erm,erm(smoothing=0.1)",
                 "--seeds", "2", *FAST, "--output", str(output)]  # fmt: skip
    assert run(*arguments) == 0
    text = capsys.readouterr().out
    assert "verdict" in text and str(output / "report.html") in text
    result = json.loads((output / "result.json").read_text())
    names = [(row["augment"], row["strategy"]) for row in result["rows"]]
    assert names == [(a, s) for a in ("none", "cutout(length=8)+mixup") for s in ("erm", "erm(smoothing=0.1)")]
    assert all(row["n"] == 2 and len(row["accuracies"]) == 2 for row in result["rows"])
    assert result["rows"][0]["verdict"] == "reference" and result["rows"][0]["difference"] is None
    for row in result["rows"]:
        assert row["mean"] == pytest.approx(np.mean(row["accuracies"]))
    steps = {row["counts"]["steps"] for row in result["rows"]}
    assert len(steps) == 1, "equal budget is equal optimiser steps"
    runs = sorted(p.name for p in (output / "runs").iterdir())
    assert len(runs) == 8

    stamp = (output / "runs" / runs[0] / "result.json").stat().st_mtime_ns
    (output / "runs" / runs[-1] / "result.json").unlink()
    (output / "result.json").unlink()
    assert run(*arguments, "--resume") == 0
    assert (output / "runs" / runs[0] / "result.json").stat().st_mtime_ns == stamp, "a finished training ran again"
    again = json.loads((output / "result.json").read_text())
    assert [row["accuracies"] for row in again["rows"]] == [row["accuracies"] for row in result["rows"]]


def test_networks_trained_together_are_all_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--model", "small_cnn,small_cnn(width=8)", "--strategy", "multi_ait", "--label-noise", "0.5", "--fraction", "0.5"]
    assert run("train", "digits", *arguments, *FAST, "--output", str(tmp_path / "a")) == 0
    shown = capsys.readouterr()
    assert "network 2 (small_cnn(width=8))" in shown.out and "200 images, 14 forward and 14 backward" in shown.out
    assert "50 of 100 training labels" in shown.err
    assert "Network 2, small_cnn(width=8)" in (tmp_path / "a" / "report.html").read_text()
    result = json.loads((tmp_path / "a" / "result.json").read_text())
    assert run("evaluate", str(tmp_path / "a"), "--json") == 0
    evaluated = json.loads(capsys.readouterr().out)
    assert [n["accuracy"] for n in evaluated["networks"]] == pytest.approx([n["accuracy"] for n in result["networks"]])
    assert evaluated["counts"] == result["counts"]
    assert run("train", "-c", str(tmp_path / "a" / "config.yaml"), "--quiet", "--output", str(tmp_path / "b")) == 0
    again = json.loads((tmp_path / "b" / "result.json").read_text())
    assert again["networks"] == result["networks"]


def test_a_comparison_shows_what_every_strategy_costs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["compare", "digits", "--strategy", "erm,ait,dml", "--augment", "none", "--seeds", "1", *FAST]
    assert run(*arguments, "--output", str(tmp_path / "c")) == 0
    text = capsys.readouterr().out
    assert all(heading in text for heading in ("images", "forward", "backward", "seconds")) and "dml: network 2" in text
    rows = json.loads((tmp_path / "c" / "result.json").read_text())["rows"]
    plain, ait, dml = (row["counts"] for row in rows)
    assert ait["images"] == 2 * plain["images"] and ait["steps"] == plain["steps"]
    assert dml["forward"] == dml["backward"] == 2 * plain["forward"] and dml["images"] == plain["images"]
    assert len(rows[2]["networks"]) == 2 and rows[2]["networks"][0]["mean"] == rows[2]["mean"]
    assert rows[1]["images_per_second"] * rows[1]["seconds_training"] == pytest.approx(plain["images"], rel=0.02)
    page = (tmp_path / "c" / "report.html").read_text()
    assert "Images seen" in page and "Forward passes" in page


def test_preview_shows_what_a_training_saw(tmp_path: Path) -> None:
    from PIL import Image

    for name in ("a.png", "b.html"):
        assert run("preview", "digits", "--augment", "standard,randaugment,cutmix", "--output", str(tmp_path / name)) == 0
    with Image.open(tmp_path / "a.png") as sheet:
        assert min(sheet.size) > 300
    page = (tmp_path / "b.html").read_text()
    assert "data:image/png;base64," in page and "http" not in page.replace("http-equiv", "")


def test_list_and_help_answer_at_once() -> None:
    source = str(Path(__file__).resolve().parents[2] / "src")
    for arguments in (["--help"], ["list"]):
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "augury", *arguments], env={**os.environ, "PYTHONPATH": source},
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        assert time.perf_counter() - start < 15
        assert " torch" not in done.stderr, "torch was imported, which alone takes longer than the limit"
        assert "randaugment" in done.stdout or "compare" in done.stdout


def test_list_shows_a_pipelines_stages_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list", "--pipeline", "standard+randaugment+cutout+mixup", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [r["stage"] for r in rows] == ["crop", "flip", "randaugment", "normalize", "cutout", "mixup"]
    assert [r["sees"] for r in rows][-1] == "normalised values" and rows[0]["sees"] == "uint8 pixels"


def test_an_unexpected_error_is_one_line_and_debug_shows_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import augury.jobs.listing

    def broken() -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(augury.jobs.listing, "listing", broken)
    assert run("list") == 1
    error = capsys.readouterr().err
    assert "ZeroDivisionError" in error and "Traceback" not in error
    with pytest.raises(ZeroDivisionError):
        main(["list", "--debug"])


def test_ctrl_c_is_130_and_resumable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from augury.train.engine.run import Trainer

    plain = Trainer.train_epoch

    def interrupted(self):  # type: ignore[no-untyped-def]
        if self.training.epoch == 1:
            raise KeyboardInterrupt
        return plain(self)

    monkeypatch.setattr(Trainer, "train_epoch", interrupted)
    arguments = ["train", "digits", "--epochs", "2", "--quiet", "--output", str(tmp_path)]
    assert run(*arguments) == 130
    assert "--resume" in capsys.readouterr().err
    monkeypatch.setattr(Trainer, "train_epoch", plain)
    assert run(*arguments, "--resume") == 0
    assert json.loads((tmp_path / "result.json").read_text())["counts"]["steps"] > 0


@pytest.mark.parametrize("command", ["train", "compare"])
def test_resume_and_overwrite_together_are_refused(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They contradict each other; what the folder holds stays as it is."""
    (tmp_path / "config.yaml").write_text("epochs: 1\n")
    (tmp_path / "metrics.jsonl").write_text("{}\n")
    assert run(command, "digits", *FAST, "--output", str(tmp_path), "--resume", "--overwrite") == 2
    assert "--resume: given together with --overwrite" in capsys.readouterr().err
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"config.yaml": "epochs: 1\n", "metrics.jsonl": "{}\n"}
