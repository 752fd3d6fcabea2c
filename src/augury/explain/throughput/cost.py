"""Augury's cost in time and memory: drawing, lowering, executing; first-call compilation; peak memory."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from augury.augment.forms.backends import backend
from augury.augment.names import pipeline
from augury.augment.stages.lowering import lower
from augury.augment.stages.plan import PlanStage
from augury.core.batch import Batch
from augury.core.noise import Noise
from augury.explain.throughput.timing import Task, rates
from augury.explain.throughput.workloads import JOBS

SOURCE = Path(__file__).resolve().parents[3]


def shares(job: str, images: Tensor, rounds: int, seconds: float) -> dict[str, float]:
    """Microseconds per batch of a policy's parts: hashing (all random numbers), drawing (including it), lowering, executing."""
    made = pipeline(JOBS[job])
    stage = made.stages[0]
    assert isinstance(stage, PlanStage)
    ids = torch.arange(len(images))
    batch = Batch(images, None, ids)
    space, slots = stage.space, stage.policy.slots

    def hashing() -> None:
        noise = Noise.of(0, ids, epoch=3).fold(f"{stage.name}0")
        noise.fold("plan").bits(slots)
        noise.fold("values").uniform(slots * space.uniforms)

    def drawing() -> Any:
        return stage.sample(batch, Noise.of(0, ids, epoch=3).fold(f"{stage.name}0"))

    trace, size = drawing(), batch.sizes()
    lowered = lower(space, trace, size, stage.contents)
    run = backend(images.device)
    calls = {
        "hashing": hashing,
        "drawing": drawing,
        "lowering": lambda: lower(space, trace, size, stage.contents),
        "executing": lambda: run.pixels(images, lowered, size),
        "total": lambda: made(images),
    }
    found = rates([Task(call, 1) for call in calls.values()], rounds, seconds)
    return {name: 1e6 / rate.median for name, rate in zip(calls, found, strict=True)}


_FIRST_CALLS = """
import json, sys, time, torch, augury, augury.augment.names
torch.set_num_threads(1)
images, found = torch.zeros(8, 3, 32, 32, dtype=torch.uint8), {}
for name in ("randaugment", "cutout(p=1)"):
    pipeline = augury.pipeline(name)
    for call in ("first", "second"):
        start = time.perf_counter()
        pipeline(images)
        found[name + " " + call] = time.perf_counter() - start
print(json.dumps(found))
"""


def first_calls() -> dict[str, dict[str, float]]:
    """Seconds of the first and second call of a policy and of an erasure, in new processes: with an empty cache, then cached."""
    with tempfile.TemporaryDirectory() as folder:
        return {state: _python(_FIRST_CALLS, NUMBA_CACHE_DIR=folder, AUGURY_BACKEND="numba") for state in ("empty cache", "cached")}


_PEAK = """
import ctypes, json, re, sys, torch, augury
from augury.explain.throughput.workloads import Size, call_of, images_for
torch.set_num_threads(1)
job, side, batch = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
images = images_for(Size(side, batch))
call = call_of(job, images)
def kilobytes(field):
    return int(re.search(field + r":\\s+(\\d+)", open("/proc/self/status").read())[1])
for _ in range(3):
    call()
ctypes.CDLL(None).malloc_trim(0)
open("/proc/self/clear_refs", "w").write("5")
before = kilobytes("VmRSS")
kept = call()
print(json.dumps({"batch": images.numel(), "extra": max(0, kilobytes("VmHWM") - before) * 1024}))
"""


def peak_memory(job: str, side: int, batch: int, name: str) -> float | None:
    """Peak extra memory of one call on the CPU, including the result, relative to the batch; None without Linux's /proc.

    Measured in a new process whose allocator returns freed memory, after three warm-up calls.
    """
    try:
        with tempfile.TemporaryDirectory() as folder:
            cache = {"NUMBA_CACHE_DIR": folder} if name == "numba" and "NUMBA_CACHE_DIR" not in os.environ else {}
            found = _python(_PEAK, job, side, batch, AUGURY_BACKEND=name, MALLOC_MMAP_THRESHOLD_="65536", **cache)
    except (subprocess.CalledProcessError, ValueError):
        return None
    return found["extra"] / found["batch"]


def _python(code: str, *arguments: object, **environment: str) -> dict[str, Any]:
    path = os.pathsep.join(p for p in (str(SOURCE), os.environ.get("PYTHONPATH", "")) if p)
    variables = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **environment}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True, timeout=600)
    return json.loads(done.stdout.splitlines()[-1])
