"""Every command of many trainings opens processes on a CPU by itself, where that is worth while and changes no result."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from augury.cli import main
from augury.jobs import estimate
from augury.jobs.recommend import recommend
from augury.train.pools import opened
from augury.train.pools.opened import ALONE, Workers

SMALL = ["--model", "small_cnn(width=4)", "--epochs", "1", "--device", "cpu"]
SEARCH = ["search", "digits", "--method", "randaugment", "--budget", "2", "--seeds", "1", "--controls", "none", "--fraction", "0.3"]
COMMANDS = {
    "compare": ["compare", "digits", "--augment", "none,cutout", "--seeds", "1", "--fraction", "0.3", *SMALL],
    "search": [*SEARCH, *SMALL],
    "patch": ["patch", "digits_correlation", "--seeds", "2", "--strategy", "erm", *SMALL],
    "reproduce": ["reproduce", "ait_table3", "--scale", "smoke", "--rows", "noise-80-*", "--device", "cpu"],
    "recommend": ["recommend", "digits", "--minutes", "1", "--candidates", "cutout", "--fraction", "0.3", *SMALL],
}
MODULES = ("compare", "search.search", "patch.retrain", "reproduce.runs", "recommend.recommend")


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Workers]]:
    """Who trains, of every pool that a command opens on two cores with two threads; all is trained in this process."""
    asked: list[Workers] = []
    opens = opened.pool_of

    def watched(runner: Any, workers: Workers = ALONE) -> Any:
        asked.append(workers)
        return opens(runner)

    for module in MODULES:
        monkeypatch.setattr(f"augury.jobs.{module}.pool_of", watched)
    monkeypatch.setattr(estimate, "quick_rate", lambda *_: 1e6)  # whatever has to be compiled first
    monkeypatch.setattr(opened, "cores", lambda: 2)
    monkeypatch.setattr(opened, "available_memory", lambda: 64 << 30)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield asked
    torch.set_num_threads(before)


@pytest.mark.parametrize("command", COMMANDS)
def test_what_takes_long_is_trained_in_a_process_for_each_core(
    command: str, pools: list[Workers], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [*COMMANDS[command], "--quiet", "--output"]
    assert main([*arguments, str(tmp_path / "short")]) == 0
    assert pools and set(pools) == {ALONE}
    pools.clear()
    monkeypatch.setattr(estimate, "SHORT", 0.0)
    monkeypatch.setattr(recommend, "SECONDS_WORTH_PROCESSES", 0.0)
    assert main([*arguments, str(tmp_path / "long")]) == 0
    assert pools and set(pools) == {Workers(2)}


def test_a_sampler_that_learns_from_what_has_ended_trains_one_child_at_a_time(
    pools: list[Workers], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("optuna", reason="Optuna is not installed (the extra `tpe`)")
    monkeypatch.setattr(estimate, "SHORT", 0.0)
    assert main([*SEARCH, "--sampler", "tpe", *SMALL, "--quiet", "--output", str(tmp_path / "out")]) == 0
    assert pools[0] == ALONE, "the children: its findings would depend on the number of cores"
    assert pools[1:] == [Workers(2)], "the comparison at the end"
