"""A script in one process and in two under torchrun, and what each of its processes wrote."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

TESTS = Path(__file__).resolve().parent
Found = dict[tuple[int, int], tuple[dict[str, Any], dict[str, Any]]]


def found_by(script: Path, folder: Path) -> Found:
    """By (processes, rank), what `script FOLDER` wrote: found-SIZE-RANK.json, and weights-SIZE-RANK.pt."""
    roots = os.pathsep.join(map(str, [TESTS.parent / "src", TESTS]))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": roots}
    for size in (1, 2):
        start = [] if size == 1 else ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        command = [sys.executable, *start, str(script), str(folder)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)
        assert done.returncode == 0, done.stderr[-3000:]
    return {
        (size, rank): (
            json.loads((folder / f"found-{size}-{rank}.json").read_text()),
            torch.load(folder / f"weights-{size}-{rank}.pt", weights_only=True),
        )
        for size, rank in ((1, 0), (2, 0), (2, 1))
    }
