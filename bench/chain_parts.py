"""Where the time of a chain goes on one thread: microseconds per image in each kernel, beside the slowest operations alone and what
memory allows.

    python bench/chain_parts.py --output results/chain_parts_cpu.json
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numba import njit

import augury
from augury.augment.forms import chain
from augury.augment.forms.numba_far import landed, streamed
from augury.explain.throughput.timing import Task, rates
from augury.explain.throughput.workloads import Size, call_of, images_for
from augury.jobs.environment import environment
from augury.train.engine.checkpoint import write_json

KERNELS = {"numba_resize": "resize", "numba_kernels": "pixels", "numba_regions": "regions", "numba_finish": "finish"}
SIZES = (Size(32, 1024), Size(224, 256))
JOBS = ("chain", "chain_mixup", "chain_cutmix")
OPERATIONS = ("rotate(p=1)", "equalize(p=1)", "sharpness(p=1)", "contrast(p=1)", "color(p=1)", "posterize(p=1)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    result = {
        "version": 1,
        "what": "microseconds of processor time per image, medians over rounds: a chain's kernels, operations alone (uint8 in and "
        "out), and a float32 image written to memory with nothing computed, by ordinary stores and past the caches",
        "command": f"python bench/chain_parts.py --rounds {options.rounds} --output FILE",
        "environment": {**environment("cpu"), "threads": "1"},
        "chains": [_parts(job, size, options.rounds) for size in SIZES for job in JOBS],
        "operations": [_operation(text, size, options.rounds) for size in SIZES for text in OPERATIONS],
        "memory": [_written(size, options.rounds) for size in SIZES],
    }
    write_json(options.output, result)
    print(json.dumps(result, indent=1))


def _parts(job: str, size: Size, rounds: int) -> dict[str, Any]:
    call, found = call_of(job, images_for(size)), []
    with _clocked() as spent:
        for _ in range(rounds + 1):  # the first is not counted
            spent.clear()
            seconds, images = _timed(call, size)
            total, parts = seconds / images, {name: spent.get(name, 0.0) / images for name in KERNELS.values()}
            found.append({**parts, "rest": total - sum(parts.values()), "total": total})
    per_image = {name: _median([one[name] for one in found[1:]]) for name in found[0]}
    return {"job": job, "size": size.name, "batch": size.batch, "microseconds": per_image}


def _operation(text: str, size: Size, rounds: int) -> dict[str, Any]:
    pipeline, images = augury.pipeline(text), images_for(size)
    return {
        "operation": text, "size": size.name, "batch": size.batch,
        "microseconds": _alone(lambda: pipeline(images), size, rounds),
    }  # fmt: skip


def _written(size: Size, rounds: int) -> dict[str, Any]:
    count = 3 * size.side * size.side
    source, into = np.zeros(4096, np.float32), np.empty((size.batch, count), np.float32)
    into[:] = 1
    medians = {
        "ordinary": _alone(lambda: _ordinary(source, into), size, rounds),
        "past the caches": _alone(lambda: _past(source, into), size, rounds),
    }
    return {"size": size.name, "batch": size.batch, "microseconds": medians}


@njit(nogil=True)
def _ordinary(source: Any, into: Any) -> None:
    for i in range(into.shape[0]):
        for first in range(0, into.shape[1], source.shape[0]):
            line = into[i, first : first + source.shape[0]]
            for k in range(line.shape[0]):
                line[k] = source[k]


@njit(nogil=True)
def _past(source: Any, into: Any) -> None:
    for i in range(into.shape[0]):
        for first in range(0, into.shape[1], source.shape[0]):
            line = into[i, first : first + source.shape[0]]
            streamed(source[: line.shape[0]], line)
    landed()


def _alone(call: Callable[[], object], size: Size, rounds: int) -> float:
    """Microseconds per image of a call that is not taken apart."""
    return round(1e6 / rates([Task(call, size.batch)], rounds, 0.25)[0].median, 2)


def _timed(call: Callable[[], object], size: Size) -> tuple[float, int]:
    """At least a quarter of a second of processor time, and how many images it was for."""
    started, images = time.process_time(), 0
    while time.process_time() - started < 0.25:
        call()
        images += size.batch
    return time.process_time() - started, images


def _median(seconds: list[float]) -> float:
    return round(float(np.median(seconds)) * 1e6, 2)


@contextmanager
def _clocked() -> Iterator[dict[str, float]]:
    """Seconds that each kernel of chains has taken, while it is open."""
    spent: dict[str, float] = {}
    before = {module: getattr(chain, module) for module in KERNELS}

    def clocked(name: str, kernel: Callable[..., None]) -> Callable[..., None]:
        def run(*arguments: object) -> None:
            started = time.process_time()
            kernel(*arguments)
            spent[name] = spent.get(name, 0.0) + time.process_time() - started

        return run

    try:
        for module, name in KERNELS.items():
            setattr(chain, module, SimpleNamespace(**{name: clocked(name, getattr(before[module], name))}))
        yield spent
    finally:
        for module, kernels in before.items():
            setattr(chain, module, kernels)


if __name__ == "__main__":
    main()
