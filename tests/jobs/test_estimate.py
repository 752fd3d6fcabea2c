"""How long a command will take is said before it begins, and what takes hours at a terminal has to be asked for."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import augury
from augury.cli import main
from augury.jobs import estimate
from augury.jobs.estimate import Estimate, Work, announce, duration, images_per_second, remaining
from augury.jobs.search.settings import SearchSettings
from augury.jobs.train import train
from augury.train.data.dataset import Dataset
from augury.train.engine.settings import Settings
from augury.train.pools.opened import Workers

FAST = Settings("digits", model="small_cnn(width=4)", epochs=1, fraction=0.3, device="cpu")


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return augury.dataset("digits")


@pytest.fixture
def rates(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every training of `none` is taken to do 100 images a second, every other one 50; what was measured, in order."""
    found = list[str]()

    def rate(settings: Settings, dataset: Dataset, patience: float = 0.0) -> float:
        found.append(settings.augment)
        return 100.0 if settings.augment == "none" else 50.0

    monkeypatch.setattr(estimate, "images_per_second", rate)
    monkeypatch.setattr(estimate, "quick_rate", lambda settings, dataset: 50.0)
    return found


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 second"),
        (40, "40 seconds"),
        (100, "2 minutes"),
        (3700, "1.0 hours"),
        (3600 * 30, "30 hours"),
        (86400 * 2.1, "2.1 days"),
    ],
)
def test_durations_are_read_by_people(seconds: float, words: str) -> None:
    assert duration(seconds) == f"about {words}"


def test_the_time_of_all_trainings_is_their_images_by_their_rates(digits: Dataset, rates: list[str]) -> None:
    heard: list[Estimate] = []
    images = len(digits.train.ids)
    works = [Work(replace(FAST, augment=name), digits, 3, 60) for name in ("none", "cutout")]
    announce(works, heard.append)
    assert heard[0].seconds == pytest.approx(60 * images / 100 + 60 * images / 50)
    assert (heard[0].trainings, heard[0].epochs) == (6, 120)
    assert heard[0].words().endswith(f"6 trainings, 120 epochs of {images:,} images of 32x32")
    announce(works, heard.append, Workers(2))
    assert heard[1].seconds == pytest.approx(heard[0].seconds / 2)
    announce(works, heard.append, Workers(100))
    assert heard[2].seconds == pytest.approx(heard[0].seconds / 6), "no more at a time than there are"
    assert len(rates) == 6


def test_what_is_short_or_finished_is_not_announced(digits: Dataset, rates: list[str]) -> None:
    heard: list[Estimate] = []
    announce([Work(FAST, digits, 1, 1)], heard.append)
    announce([Work(FAST, digits, 1, 0)], heard.append)
    announce([Work(FAST, digits, 1, 10_000)], None)
    assert not heard and not rates


def test_many_kinds_are_measured_by_a_few(digits: Dataset, rates: list[str]) -> None:
    names = [f"cutout(length={n})" for n in range(1, 12)]
    announce([Work(replace(FAST, augment=name), digits, 1, 60) for name in names], lambda estimate: None)
    assert len(rates) == estimate.MOST_PROBES


def test_a_probe_measures_the_training_and_leaves_it_as_it_is(digits: Dataset) -> None:
    before = digits.train.images.clone()
    assert images_per_second(FAST, digits) > 1 and digits.train.images.equal(before)


def test_what_is_trained_already_does_not_count(tmp_path: Path) -> None:
    settings = replace(FAST, epochs=2)
    assert remaining(tmp_path / "nowhere", settings) == 2
    train(settings, tmp_path / "run", quiet=True)
    assert remaining(tmp_path / "run", settings) == 0
    (tmp_path / "run" / "result.json").unlink()
    assert remaining(tmp_path / "run", replace(settings, epochs=5)) == 3


COMMANDS = {
    "train": ["digits"],
    "compare": ["digits", "--augment", "none,cutout", "--seeds", "1"],
    "search": ["digits", "--method", "randaugment", "--budget", "1", "--seeds", "1", "--controls", "none"],
    "patch": ["digits_correlation", "--seeds", "1", "--strategy", "erm"],
    "reproduce": ["ait_table3", "--scale", "smoke", "--rows", "noise-80-*"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_hours_at_a_terminal_have_to_be_asked_for(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in ("estimate.images_per_second", "estimate.quick_rate"):
        monkeypatch.setattr(f"augury.jobs.{module}", lambda *_: 1e-3)
    flags = [command, *COMMANDS[command], "--output", str(tmp_path / "out")]
    flags += [] if command == "reproduce" else ["--epochs", "1", "--model", "small_cnn(width=4)", "--device", "cpu"]
    terminal = type(sys.stderr)
    monkeypatch.setattr(terminal, "isatty", lambda self: True, raising=False)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    assert main(flags) == 2
    said = capsys.readouterr().err
    assert "--yes: this will take longer than an hour" in said and ("days" in said or "hours" in said)
    assert not (tmp_path / "out").exists(), "nothing was written"


def test_without_a_terminal_the_time_is_said_and_the_training_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(estimate, "images_per_second", lambda *_: 1e-3)
    monkeypatch.setattr(estimate, "quick_rate", lambda *_: 1e-3)
    flags = ["train", "digits", "--epochs", "1", "--model", "small_cnn(width=4)", "--fraction", "0.3", "--device", "cpu"]
    assert main([*flags, "--output", str(tmp_path / "out")]) == 0
    out, err = capsys.readouterr()
    assert "1 training, 1 epoch of" in err and "hours" in err
    assert "median" not in out and "best" not in out, "of one epoch there is one figure"


def test_a_search_ends_with_trainings_in_proportion_to_its_children() -> None:
    plain: dict[str, Any] = {"method": "randaugment"}
    assert SearchSettings.of(plain, "test").final_epochs is None
    assert SearchSettings.of({**plain, "final_epochs": 3}, "test").final_epochs == 3
