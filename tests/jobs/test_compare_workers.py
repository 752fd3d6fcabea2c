"""A comparison is the same whoever trains it, and a training that fails costs none of the others."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from augury.cli import main
from augury.core.errors import InputError, RunError
from augury.jobs import compare as jobs_compare
from augury.jobs import estimate
from augury.jobs.compare import compare
from augury.train.engine.settings import Settings
from augury.train.pools import opened
from augury.train.pools.opened import Workers
from augury.train.pools.training import Ended, TrainingJob, TrainingRunner

FAST = Settings(
    "digits", augment="none,crop+cutout", model="small_cnn(width=4)", epochs=2, fraction=0.3, device="cpu", lr=0.05
)  # fmt: skip


def trained(output: Path) -> dict[str, bytes]:
    """The weights of every training, by its folder."""
    return {file.parent.name: file.read_bytes() for file in sorted(output.glob("runs/*/model.safetensors"))}


def told(result: dict[str, Any]) -> list[Any]:
    return [(row["augment"], row["values"], row["verdict"], row["counts"]) for row in result["rows"]]


@pytest.fixture
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as each of several processes on few cores has; sums over threads depend on their number
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("workers", [Workers(2), Workers(2, "local")])
def test_who_trains_changes_no_bit(workers: Workers, one_thread: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if workers.ray is not None:
        pytest.importorskip("ray", reason="Ray is not installed (the extra `ray`)")
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    alone = compare(FAST, 2, tmp_path / "alone", quiet=True)
    shared = compare(FAST, 2, tmp_path / "shared", quiet=True, workers=workers)
    weights = trained(tmp_path / "alone")
    assert len(weights) == 4 and trained(tmp_path / "shared") == weights
    assert told(shared) == told(alone)


def test_a_training_that_fails_is_tried_again_then_named_and_the_others_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, tries = TrainingRunner.run, []

    def broken(self: TrainingRunner, job: TrainingJob, tell: Any) -> Ended:
        tries.append(job.name)
        if job.name == "crop+cutout erm, seed 0" and fails:
            raise MemoryError("no memory left")
        return plain(self, job, tell)

    monkeypatch.setattr(TrainingRunner, "run", broken)
    settings, fails = replace(FAST, epochs=1), True
    with pytest.raises(RunError, match=r"crop\+cutout erm, seed 0: MemoryError: no memory left"):
        compare(settings, 2, tmp_path / "out", quiet=True)
    assert tries.count("crop+cutout erm, seed 0") == 2 and len(tries) == 5
    assert len(trained(tmp_path / "out")) == 3 and not (tmp_path / "out" / "result.json").exists()
    fails, before = False, trained(tmp_path / "out")
    result = compare(settings, 2, tmp_path / "out", quiet=True, resume=True)
    assert [row["n"] for row in result["rows"]] == [2, 2]
    assert {name: weights for name, weights in trained(tmp_path / "out").items() if name in before} == before


def test_parallel_seeds_are_of_one_process(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--parallel-seeds: trains in this process"):
        compare(FAST, 2, tmp_path / "out", parallel_seeds=True, workers=Workers(2))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("threads", "there", "trainings", "count"),
    [(4, 4, 9, 4), (2, 4, 9, 2), (4, 3, 9, 3), (4, 4, 3, 3), (1, 4, 9, 1), (4, 4, 1, 1)],
)
def test_open_workers_are_as_many_as_there_are_threads_cores_and_trainings(
    threads: int, there: int, trainings: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(opened, "cores", lambda: there)
    monkeypatch.setattr(opened, "available_memory", lambda: 64 << 30)
    assert Workers(open=True).chosen(trainings, "cpu") == Workers(count)
    assert Workers(3).chosen(trainings, "cpu") == Workers(3), "a number that was given stands"
    monkeypatch.setattr(opened, "available_memory", lambda: 2 * opened.WORKER_BYTES + 1)
    assert Workers(open=True).chosen(trainings, "cpu") == Workers(min(count, 2))


def test_a_command_opens_processes_for_what_takes_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pools: list[Workers] = []
    opens = jobs_compare.pool_of

    def watched(runner: Any, workers: Workers) -> Any:
        pools.append(workers)
        return opens(runner, workers)

    monkeypatch.setattr(jobs_compare, "pool_of", watched)
    monkeypatch.setattr(estimate, "quick_rate", lambda *_: 1e6)  # whatever has to be compiled first
    monkeypatch.setattr(opened, "cores", lambda: 2)
    monkeypatch.setattr(opened, "available_memory", lambda: 64 << 30)
    command = [
        "compare",
        "digits",
        "--augment",
        "none,crop+cutout",
        "--model",
        "small_cnn(width=4)",
        "--epochs",
        "2",
        "--seeds",
        "1",
    ]
    command += ["--lr", "0.05", "--fraction", "0.3", "--device", "cpu", "--quiet", "--output"]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert main([*command, str(tmp_path / "short")]) == 0
        monkeypatch.setattr(estimate, "SHORT", 0.0)
        assert main([*command, str(tmp_path / "long")]) == 0
        torch.set_num_threads(1)  # as the processes have
        assert main([*command, str(tmp_path / "alone")]) == 0
    finally:
        torch.set_num_threads(before)
    assert pools == [Workers(1), Workers(2), Workers(1)]
    assert trained(tmp_path / "long") == trained(tmp_path / "alone")


@pytest.mark.parametrize("flags", [["--workers", "0"], ["--workers", "two"], ["--ray", "10.255.255.1:6379"]])
def test_workers_that_cannot_be_are_one_line(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if "--ray" in flags:
        ray = pytest.importorskip("ray", reason="Ray is not installed (the extra `ray`)")

        def silent(**_: Any) -> None:
            raise ConnectionError("no answer\nwithin 5 s")

        monkeypatch.setattr(ray, "init", silent)
    code = main(["compare", "digits", "--augment", "none,cutout", "--output", str(tmp_path / "out"), "--quiet", *flags])
    said = capsys.readouterr().err.strip().splitlines()
    assert code == 2 and len(said) == 1 and flags[0] in said[0]
    assert not (tmp_path / "out").exists(), "nothing was written"
