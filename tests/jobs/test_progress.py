"""What is seen of a command while it runs: a bar at a terminal, lines elsewhere, callbacks in Python, and the race as a table."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import augury
from augury.cli import main
from augury.jobs import progress
from augury.jobs.progress import bar
from augury.jobs.recommend.live import shown
from augury.train.data.dataset import load
from augury.train.pools.pool import Shared
from augury.train.pools.training import Ended, TrainingJob

FAST = {"model": "small_cnn(width=4)", "epochs": 3, "fraction": 0.3, "device": "cpu", "lr": 0.05}


class Clock:
    """Stands still until it is told to go on."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


def row(epoch: int) -> dict[str, Any]:
    return {"epoch": epoch, "train_loss": 1 / epoch, "validation_accuracy": 10.0 * epoch}


def test_without_a_terminal_there_is_a_line_a_minute(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with bar(8) as counted:
        counted.label("cutout small_cnn")
        for epoch, seconds in enumerate((0, 10, 65, 66, 200, 201, 202, 203), start=1):
            clock.now = float(seconds)
            counted.trained(Path("folder"), row(epoch))
    said = capsys.readouterr().err.splitlines()
    assert [line.split("epoch ")[1].split(":")[0] for line in said] == ["1", "3", "5", "8"]
    assert said[0].endswith("(1 of 8 epochs)")  # after starting, it would be anything
    assert said[1].startswith("cutout small_cnn, epoch 3: loss 0.3333, validation accuracy 30.00 %")
    assert said[1].endswith("(3 of 8 epochs, about 2 minutes left)") and said[-1].endswith("(8 of 8 epochs)")


def test_epochs_that_were_trained_before_take_no_time(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with bar(10) as counted:
        counted.skip(6)
        clock.now = 100.0
        counted.trained(Path("folder"), row(1))
    assert capsys.readouterr().err.splitlines()[-1].endswith("(7 of 10 epochs, about 5 minutes left)")


def test_what_counts_no_epochs_is_told_how_long_it_takes_too(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with bar(10, unit="measurements") as counted:
        counted.label("spectrum")
        clock.now = 100.0
        counted.advance()
    assert capsys.readouterr().err == "spectrum (1 of 10 measurements, about 15 minutes left)\n"


@pytest.mark.parametrize("terminal", [False, True])
def test_the_first_epoch_of_a_resumed_training_is_one_epoch(
    terminal: bool, clock: Clock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm")
    job = TrainingJob("a, seed 0", augury.Settings("digits", epochs=10), Path("folder"), Shared(load("digits")))
    with bar(20) as counted:
        clock.now = 30.0
        counted.told(job, row(6))
    said = capsys.readouterr().err
    assert "about 7 minutes left" in said and (terminal or said.endswith("(6 of 20 epochs, about 7 minutes left)\n"))


def test_epochs_of_a_second_try_count_once(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    job = TrainingJob("a, seed 0", augury.Settings("digits", epochs=2), Path("folder"), Shared(load("digits")))
    with bar(2) as counted:
        for epoch in (1, 1, 2):
            counted.told(job, row(epoch))
        counted.ended(Ended(job.name, job.folder, 2))
    assert capsys.readouterr().err.splitlines()[-1].endswith("(2 of 2 epochs)")


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with bar(2, quiet=True) as counted:
        counted.trained(Path("folder"), row(1))
        counted.trained(Path("folder"), row(2))
    assert capsys.readouterr().err == ""


def test_a_training_without_a_terminal_is_heard_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = [part for key, value in FAST.items() for part in (f"--{key}", str(value))]
    assert main(["train", "digits", *flags, "--output", str(tmp_path / "run")]) == 0
    assert "epoch 3: loss" in capsys.readouterr().err


def test_python_is_called_after_every_epoch(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    augury.fit("digits", output=tmp_path / "run", quiet=True, on_epoch=told.append, **FAST)
    assert [each["epoch"] for each in told] == [1, 2, 3] and all(each["train_loss"] > 0 for each in told)


def test_python_hears_of_every_training_of_a_comparison(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    augury.compare(
        "digits",
        augment=["none", "cutout"],
        seeds=1,
        output=tmp_path / "out",
        quiet=True,
        on_epoch=told.append,
        **{**FAST, "epochs": 1},
    )
    assert [(each["training"], each["epoch"]) for each in told] == [("none erm, seed 0", 1), ("cutout erm, seed 0", 1)]


def test_what_a_callback_raises_ends_the_training_which_resumes(tmp_path: Path) -> None:
    def stop(line: dict[str, Any]) -> None:
        if line["epoch"] == 2:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        augury.fit("digits", output=tmp_path / "run", quiet=True, on_epoch=stop, **FAST)
    told: list[dict[str, Any]] = []
    augury.fit("digits", output=tmp_path / "run", quiet=True, resume=True, on_epoch=told.append, **FAST)
    assert [each["epoch"] for each in told] == [3]


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("seconds", [0, 1000])
def test_a_resumed_training_counts_to_the_end(
    parallel: bool, seconds: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where the last checkpoint is older than the last epoch, which is then trained once more."""

    def stopped(line: dict[str, Any]) -> None:
        raise ZeroDivisionError

    folder = tmp_path / ("runs/0-none-erm-seed0" if parallel else "")
    with pytest.raises(ZeroDivisionError):
        augury.fit("digits", output=folder, quiet=True, on_epoch=stopped, **FAST, checkpoint_seconds=seconds)
    if parallel:
        augury.compare("digits", augment=["none"], seeds=1, parallel_seeds=True, resume=True, output=tmp_path, **FAST)
    else:
        augury.fit("digits", output=folder, resume=True, **FAST)
    assert capsys.readouterr().err.splitlines()[-1].endswith("(3 of 3 epochs)")


def test_a_training_that_patience_ends_counts_to_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = augury.fit("digits", output=tmp_path / "run", patience=1, select="validation", **{**FAST, "epochs": 60, "lr": 1e-6})
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) < 60 and result is not None
    assert capsys.readouterr().err.splitlines()[-1].endswith("(60 of 60 epochs)")


RACE = [
    {"augment": "none", "strategy": "erm", "refine_share": 0.0, "n": 2, "mean": 61.5, "epochs": 4, "seconds": 3.0,
     "dropped_after": None, "error": None},
    {"augment": "cutout", "strategy": "erm", "refine_share": 0.0, "n": 0, "mean": None, "epochs": None, "seconds": 0.0,
     "dropped_after": None, "error": None},
]  # fmt: skip


def test_at_a_terminal_the_race_is_a_table_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    out = io.StringIO()
    with shown(console=Console(file=out, force_terminal=True, width=120)) as show:
        show.say("looking at [images]")
        show.race(RACE, "accuracy")
        seen = out.getvalue()
    assert "looking at [images]" in seen and "61.50" in seen and "not trained" in seen and "cutout" in seen


def test_without_a_terminal_the_race_is_told_in_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with shown(console=Console(file=io.StringIO())) as show:
        show.say("cutout, 4 epochs, round 1: 61.50")
        show.race(RACE, "accuracy")
    assert capsys.readouterr().err.endswith("min  cutout, 4 epochs, round 1: 61.50\n")
