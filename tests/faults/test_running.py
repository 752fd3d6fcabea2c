"""What goes wrong while a run is written or resumed is told in one line, which says what is kept; nothing is lost."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import augury
from augury.cli import main
from augury.train.engine import checkpoint
from augury.train.engine.failure import explained
from augury.train.engine.lock import NAME, locked
from augury.train.engine.rundir import RunDirectory

TRAIN = ["train", "digits", "--epochs", "2", "--model", "small_cnn", "--device", "cpu", "--quiet", "--output"]


def _python(code: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Code in a process of its own: a fork of this one would inherit its locked threads and might wait for ever."""
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=300)


def test_a_second_process_in_the_folder_is_told_which_one_works_there(tmp_path: Path) -> None:
    held = RunDirectory.open(tmp_path, {"data": "digits"})
    code = "import sys; from augury.cli import main; sys.exit(main(sys.argv[1:]))"
    found = _python(code, *TRAIN, str(tmp_path), "--overwrite")
    assert found.returncode == 2
    assert f"process {os.getpid()} on {os.uname().nodename} is working in it" in found.stderr and found.stderr.count("\n") == 1
    held.finish({})
    assert not (tmp_path / NAME).exists()
    assert _python(_LOCK + "sys.exit(0 if held else 1)", str(tmp_path)).returncode == 0


_LOCK = "import os, sys; from pathlib import Path; from augury.train.engine.lock import locked; held = locked(Path(sys.argv[1])); "


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    assert _python(_LOCK + "os.kill(os.getpid(), 9)", str(tmp_path)).returncode == -9
    assert (tmp_path / NAME).exists() and locked(tmp_path) is not None


@pytest.mark.parametrize("command", ["train", "compare", "search", "patch", "reproduce"])
def test_resuming_and_overwriting_at_once_is_refused(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").write_text("data: digits\n")
    data = {"reproduce": "adversarial_table1", "patch": "digits_correlation"}.get(command, "digits")
    assert main([command, data, "--output", str(tmp_path), "--resume", "--overwrite"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("augury: ") and told.count("\n") == 1
    assert (tmp_path / "config.yaml").read_text() == "data: digits\n"


def test_fewer_lines_of_metrics_than_epochs_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TRAIN, str(tmp_path)]) == 0
    (tmp_path / "result.json").unlink()
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    (tmp_path / "metrics.jsonl").write_text(lines[0] + "\n")
    capsys.readouterr()
    assert main([*TRAIN, str(tmp_path), "--resume"]) == 0
    assert "metrics.jsonl held 1 of the 2 epochs" in capsys.readouterr().err
    assert any("held 1 of the 2" in note for note in json.loads((tmp_path / "result.json").read_text())["notes"])


def test_a_run_of_several_processes_is_not_resumed_by_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TRAIN, str(tmp_path)]) == 0
    (tmp_path / "result.json").unlink()
    found = checkpoint.load_checkpoint(tmp_path)
    assert found is not None
    tensors, state = found
    checkpoint.save_checkpoint(tmp_path, tensors, {**state, "processes": 2})
    capsys.readouterr()
    assert main([*TRAIN, str(tmp_path), "--resume"]) == 2
    assert "started in 2 processes" in capsys.readouterr().err


def test_a_checkpoint_that_may_not_be_read_is_not_called_damaged(tmp_path: Path) -> None:
    """A folder in its place stands for what the system refuses, since root may read every file."""
    (tmp_path / checkpoint.NAME).mkdir()
    with pytest.raises(augury.RunError, match="cannot be read") as refused:
        checkpoint.newest(tmp_path)
    assert "damaged" not in str(refused.value) and "--overwrite" not in str(refused.value)


FAULTS: list[tuple[BaseException, str]] = [
    (RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:1"), "another process of this training"),
    (RuntimeError("NCCL communicator was aborted on rank 1"), "another process of this training"),
    (RuntimeError("DataLoader worker (pid 123) is killed by signal: Killed. "), "decoding process 123 was killed"),
    (RuntimeError("DataLoader worker (pid(s) 12, 13) exited unexpectedly"), "decoding process 12, 13 was killed"),
    (MemoryError(), "out of memory"),
    (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "out of memory"),
    (RuntimeError("can't start new thread"), "out of memory"),
    (OSError(errno.ENOMEM, "Cannot allocate memory"), "out of memory"),
    (torch.OutOfMemoryError("CUDA out of memory"), "the GPU is out of memory"),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "words"), FAULTS)
def test_faults_of_the_machine_are_told_in_one_line_that_says_what_is_kept(fault: BaseException, words: str) -> None:
    with pytest.raises(augury.RunError, match=words) as told, explained(128):
        raise fault
    assert len(str(told.value)) <= 600 and ("--resume" in str(told.value) or "--batch-size" in str(told.value))


def test_other_errors_are_left_as_they_are() -> None:
    with pytest.raises(RuntimeError, match="shape"), explained(128):
        raise RuntimeError("shape mismatch")
    with pytest.raises(FileNotFoundError), explained(128):
        raise FileNotFoundError(errno.ENOENT, "No such file", "x")
