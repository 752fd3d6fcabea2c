"""Two processes train as one does: the same images, the same weights up to rounding, metrics without double counting."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from augury.core.errors import InputError
from augury.train.data.dataset import load
from augury.train.engine.prepare import prepare
from augury.train.engine.settings import Settings
from augury.train.engine.world import World, alone, join

HERE = Path(__file__).resolve().parent
FLAGS = ["--augment", "crop+randaugment+cutout(length=8)", "--epochs", "2", "--batch-size", "37", "--lr", "0.05", "--quiet"]


def finished(folder: Path, processes: int, *more: str) -> subprocess.CompletedProcess[str]:
    """Train into `folder / "run"` to the end, or to the refusal."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{HERE.parents[2] / 'src'}"}
    start = [sys.executable] if processes == 1 else [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)
    ]  # fmt: skip
    command = [*start, str(HERE / "trained_together.py"), str(folder), *FLAGS, *more, "--output", str(folder / "run")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def launched(folder: Path, processes: int, *more: str) -> str:
    """What a training into `folder / "run"` printed."""
    done = finished(folder, processes, *more)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def started(folder: Path, processes: int, *more: str) -> dict:
    folder.mkdir()
    assert launched(folder, processes, *more).count("test accuracy") == 1
    return json.loads((folder / "run" / "result.json").read_text())


def seen(folder: Path) -> dict:
    rows = [json.loads(line) for file in folder.glob("seen-*.jsonl") for line in file.read_text().splitlines()]
    return {(epoch, number, visit): total for epoch, number, visit, total in rows}


def test_two_processes_equal_one(tmp_path: Path) -> None:
    one, two = started(tmp_path / "one", 1), started(tmp_path / "two", 2)
    first, second = (load_file(tmp_path / name / "run" / "model.safetensors") for name in ("one", "two"))
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=1e-3, atol=1e-5)
    # 200 images in batches of 37: the last has 15, an odd number, and every image counts once.
    assert two["counts"] == one["counts"] and two["counts"]["images"] == 2 * 200
    assert two["loss"] == pytest.approx(one["loss"], rel=1e-4) and two["processes"] == 2
    rows = [json.loads((tmp_path / n / "run" / "metrics.jsonl").read_text().splitlines()[-1]) for n in ("one", "two")]
    assert rows[1]["train_loss"] == pytest.approx(rows[0]["train_loss"], rel=1e-4)
    assert len((tmp_path / "two" / "run" / "metrics.jsonl").read_text().splitlines()) == 2
    own = seen(tmp_path / "one")
    assert len(own) == 2 * 200 and seen(tmp_path / "two") == own
    both = [len((tmp_path / "two" / f"seen-{rank}.jsonl").read_text().splitlines()) for rank in (0, 1)]
    assert min(both) > 0 and sum(both) == len(own)


def test_two_processes_resume_a_refinement_to_its_end(tmp_path: Path) -> None:
    """Fails if the first process alone knows the network of before the refinement, which all evaluate together."""
    launched(tmp_path, 2, "--refine-epochs", "1")
    file = tmp_path / "run" / "result.json"
    whole = json.loads(file.read_text())
    file.unlink()
    launched(tmp_path, 2, "--refine-epochs", "1", "--resume")
    again = json.loads(file.read_text())
    assert again["stage_one"] == whole["stage_one"] and again["accuracy"] == whole["accuracy"]


def test_what_the_first_process_refuses_all_refuse(tmp_path: Path) -> None:
    """Fails where the others go on to a communication with the process that has ended, and report that instead."""
    launched(tmp_path, 1)

    def refused(said: str, *more: str) -> None:
        done = finished(tmp_path, 2, *more)
        own = [line for line in done.stderr.splitlines() if line.startswith("augury: ")]
        assert done.returncode == 1 and own and all(line.endswith(said) for line in own), own

    refused("holds a finished run; add --overwrite to replace it or --resume to continue")
    refused("start this one without torchrun", "--refine-epochs", "1", "--refine-from", str(tmp_path / "run"))
    (tmp_path / "run" / "result.json").write_text("{")
    refused("damaged; remove it, and --resume writes it again from the last checkpoint", "--resume")


def test_a_failure_of_the_first_process_is_not_reported_as_one_of_the_others(tmp_path: Path) -> None:
    (tmp_path / "run" / "metrics.jsonl").mkdir(parents=True)
    done = finished(tmp_path, 2)
    own = [line for line in done.stderr.splitlines() if line.startswith("augury: ")]
    assert done.returncode == 1 and any("metrics.jsonl" in line for line in own), done.stderr[-2000:]
    assert not [line for line in own if "unexpected" in line or "closed by" in line]


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("count", [1, 2, 7, 12])
def test_shares_are_disjoint_and_weigh_the_mean(size: int, count: int) -> None:
    rows, values = torch.arange(count), torch.linspace(1, 2, count).double()
    shares = [World(rank, size).share(rows) for rank in range(size)]
    assert sorted(row for own, weight in shares if weight for row in own.tolist()) == list(range(count))
    assert all(len(own) for own, _ in shares)
    assert sum(weight * values[own].mean() for own, weight in shares) == pytest.approx(values.mean())
    parts = [list(range(count))[World(rank, size).part(count)] for rank in range(size)]
    assert sorted(sum(parts, [])) == list(range(count))


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"strategy": "reid", "model": "bnneck(small_cnn)", "batch_size": 16}, "--strategy reid: compares the images"),
     ({"grad_accum_steps": 2, "strategy": "group_dro"}, "--grad-accum-steps: --strategy group_dro"),
     ({"grad_accum_steps": 2, "sampling": "groups"}, "--sampling groups")],
)  # fmt: skip
def test_what_needs_whole_batches_is_refused(changes: dict, named: str) -> None:
    with pytest.raises(InputError, match=named):
        prepare(Settings("digits", **changes), load("digits"), world=World(0, 2))


def test_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert join("cpu") == (World(), "cpu")
    alone("compare")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="compare: runs in one process"):
        alone("compare")
