"""Killed at any write, flush or rename, and resumed: the result is that of a run which was left alone."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from faults_kills import killed

SHORT = ["--model", "small_cnn", "--device", "cpu", "--quiet"]
SMALL = ["digits", "--epochs", "2", *SHORT]
COMMANDS: dict[str, list[str]] = {
    "train": ["train", *SMALL, "--augment", "cutout", "--refine-at", "1"],
    "compare": ["compare", *SMALL, "--augment", "none,cutout", "--seeds", "1"],
    "search": ["search", *SMALL, "--method", "randaugment", "--budget", "2", "--controls", "none", "--final-epochs", "1"],
    "patch": [
        "patch",
        "digits_correlation",
        "--epochs",
        "1",
        *SHORT,
        "--seeds",
        "1",
        "--strategy",
        "erm,clamp(weight=1)",
        "--translate",
        "all",
        "--translate-steps",
        "2",
        "--validation",
        "0.2",
    ],
}
TIMED = ("seconds", "images_per_second", "wall", "environment", "seconds_total", "device_seconds", "training", "cost")
# The controller's share of the time, and where a policy's file lies.
ELSEWHERE = ("notes", "share", "path")


def _figures(value: Any) -> Any:
    """A result without what depends on the clock, on the folder and on how it came about."""
    if isinstance(value, dict):
        return {k: _figures(v) for k, v in value.items() if not any(word in k for word in TIMED) and k not in ELSEWHERE}
    return [_figures(v) for v in value] if isinstance(value, list) else value


def _result(folder: Path) -> Any:
    return _figures(json.loads((folder / "result.json").read_text(encoding="utf-8")))


def _whole(command: str, folder: Path) -> tuple[Any, int]:
    """The result of an unbroken run, and how many points it passed."""
    torch.set_num_threads(1)
    code, points = killed([*COMMANDS[command], "--output", str(folder / "whole")], None, folder / "log")
    assert code == 0
    return _result(folder / "whole"), len(points)


def _trial(command: str, folder: Path, at: int, whole: Any) -> None:
    output = folder / f"at{at}"
    code, points = killed([*COMMANDS[command], "--output", str(output)], at, folder / "log")
    assert code == -9, (at, points)
    code, _ = killed([*COMMANDS[command], "--output", str(output), "--resume"], None, folder / "log")
    assert code == 0, (command, at, points[-3:])
    assert _result(output) == whole, (command, at, points[-3:])


@pytest.mark.slow
def test_a_training_killed_while_stage_one_is_kept_still_knows_it(tmp_path: Path) -> None:
    """Every point between the first epoch's metrics and its checkpoint, whose two files are written there."""
    whole, _ = _whole("train", tmp_path)
    assert "stage_one" in whole
    _, points = killed([*COMMANDS["train"], "--output", str(tmp_path / "count")], None, tmp_path / "log")
    first = points.index("replace", 4)
    for at in range(first, first + 6):
        _trial("train", tmp_path, at, whole)


@pytest.mark.slow
@pytest.mark.parametrize(("command", "kills"), [("train", 30), ("compare", 25), ("search", 25), ("patch", 20)])
def test_kills_spread_over_a_whole_command(command: str, kills: int, tmp_path: Path) -> None:
    whole, points = _whole(command, tmp_path)
    for number in range(kills):
        _trial(command, tmp_path, number * (points - 1) // max(1, kills - 1), whole)
