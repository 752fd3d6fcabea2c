"""Two processes: in every host each image draws what it draws in one, and the weights are those of one up to rounding."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import processes
import pytest
import torch

HERE = Path(__file__).resolve().parent
MISSING = [name for name in ("lightning", "transformers", "accelerate") if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, int], tuple[dict, dict]]:
    """Draws and weights by (processes, rank)."""
    folder = tmp_path_factory.mktemp("processes")
    roots = os.pathsep.join(map(str, [HERE.parents[1] / "src", HERE.parent]))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": roots}
    for size in (1, 2):
        start = [] if size == 1 else ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        command = [sys.executable, *start, str(HERE / "processes.py"), str(folder)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)
        assert done.returncode == 0, done.stderr[-3000:]
    return {
        (size, rank): (
            json.loads((folder / f"found-{size}-{rank}.json").read_text()),
            torch.load(folder / f"weights-{size}-{rank}.pt", weights_only=True),
        )
        for size, rank in ((1, 0), (2, 0), (2, 1))
    }


@pytest.mark.parametrize("name", processes.CASES)
def test_every_image_draws_what_it_draws_in_one_process(name: str, found: dict) -> None:
    one = {(number, view): total for number, view, total in found[1, 0][0][name]}
    two = {(number, view): total for rank in (0, 1) for number, view, total in found[2, rank][0][name]}
    assert len(one) >= processes.STEPS * processes.STEP_IMAGES and two == one


@pytest.mark.parametrize("name", processes.CASES)
def test_two_processes_train_as_one(name: str, found: dict) -> None:
    """Catches gradients that nobody sums, and group means of one process's images."""
    for a, b, c in zip(*(found[key][1][name] for key in ((1, 0), (2, 0), (2, 1))), strict=True):
        assert torch.equal(b, c)
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)
