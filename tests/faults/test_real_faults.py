"""Faults as a machine has them: processes that are killed, an address space that is too small, files that may not be read."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}
LONG = ["--epochs", "500", "--model", "small_cnn", "--device", "cpu", "--output"]


def _start(arguments: list[str], **more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "augury", *arguments]
    return subprocess.Popen(
        command, env={**ENVIRONMENT, **more}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def _wait_until(what: Callable[[], bool], process: "subprocess.Popen[str]", seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.2)


def _epochs(run: Path) -> int:
    file = run / "metrics.jsonl"
    return len(file.read_text().splitlines()) if file.exists() else 0


def _told(process: "subprocess.Popen[str]") -> str:
    """The one line of a command that failed; its progress bars aside."""
    try:
        _, errors = process.communicate(timeout=180)
    finally:
        process.kill()
    lines = [line for line in errors.splitlines() if line.startswith("augury: ")]
    assert process.returncode == 1 and len(lines) == 1 and "unexpected" not in errors and "Traceback" not in errors, errors
    return lines[0]


def test_a_process_of_a_training_is_killed(tmp_path: Path) -> None:
    """The other one says so, and a training on as many processes resumes. Catches a survivor that waits for ever."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    run = tmp_path / "run"
    places = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in (0, 1)]
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    first, second = (_start(["train", "digits", *LONG, str(run)], **shared, **place) for place in places)
    try:
        _wait_until(lambda: _epochs(run) > 1, first)
    finally:
        second.kill()
        second.communicate()
    told = _told(first)
    assert "another process of this training has died" in told and "--resume continues from it" in told
    assert (run / "checkpoint.safetensors").exists()


def test_a_decoding_process_is_killed(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for part, count in (("train", 40), ("test", 8)):
        for label in ("a", "b"):
            folder = tmp_path / "data" / part / label
            folder.mkdir(parents=True)
            for number in range(count):
                Image.fromarray(random.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    run = tmp_path / "run"
    streamed = ["--image-size", "32", "--stream", "yes", "--decode-workers", "2", *LONG, str(run)]
    process = _start(["train", str(tmp_path / "data"), *streamed])
    _wait_until(lambda: _epochs(run) > 1 and len(_children(process.pid)) > 1, process)
    killed = _children(process.pid)[-1]
    os.kill(killed, signal.SIGKILL)
    told = _told(process)
    assert f"decoding process {killed} was killed from outside" in told and "--decode-workers" in told


def _children(process: int) -> list[int]:
    found = Path(f"/proc/{process}/task/{process}/children")
    if not found.exists():
        pytest.skip("this system does not list a process's children")
    return [int(number) for number in found.read_text().split()]


@pytest.mark.parametrize("megabytes", [600, 1500, 2500])
def test_an_address_space_that_is_too_small(megabytes: int, tmp_path: Path) -> None:
    command = f"ulimit -v {megabytes * 1024} && exec {sys.executable} -m augury train digits --quiet"
    process = subprocess.Popen(
        ["sh", "-c", f"{command} {' '.join(LONG)} {tmp_path / 'run'}"], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
    )
    assert "not enough memory or address space" in _told(process)


# Runs as a user who is not root: whoever is, gives up the rights after all that is needed was imported.
UNREADABLE = """
import os, sys
from pathlib import Path
from augury.cli import main
run, small = Path(sys.argv[1]), ["--model", "small_cnn", "--device", "cpu", "--quiet", "--epochs", "1", "--output"]
assert main(["train", "digits", *small, str(run.parent / "first")]) == main(["evaluate", str(run.parent / "first")]) == 0
if os.geteuid() == 0:
    os.setgid(65534), os.setuid(65534)
assert main(["train", "digits", *small, str(run)]) == 0
for name in sys.argv[2:]:
    (run / name).chmod(0)
    print("code", main(["evaluate", str(run)]))
    (run / name).chmod(0o644)
result = (run / "result.json").rename(run / "result.before")
(run / "checkpoint.safetensors").chmod(0)
print("code", main(["train", "digits", *small, str(run), "--resume"]))
run.chmod(0o555)
print("code", main(["train", "digits", *small, str(run), "--overwrite"]))
run.chmod(0o755)
assert result.exists()
"""


def test_files_that_may_not_be_read_are_not_called_damaged(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o777)
    names = ["config.yaml", "data.json", "data_files.csv", "model.safetensors", "result.json"]
    code = [sys.executable, "-c", UNREADABLE, str(tmp_path / "run"), *names]
    done = subprocess.run(code, env={**ENVIRONMENT, "HOME": str(tmp_path)}, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line for line in done.stderr.splitlines() if line.startswith("augury: ") and str(tmp_path / "run") in line]
    for name, line in zip([*names, "checkpoint.safetensors", ""], lines, strict=True):
        assert name in line and "Permission denied" in line and "damaged" not in line and "--overwrite" not in line
    assert done.stdout.split("code ")[1:] and {text.split()[0] for text in done.stdout.split("code ")[1:]} <= {"1", "2"}
