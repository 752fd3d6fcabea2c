"""What a second thread brings to augmentation, with both cores free and with one of them held by another process.

    python bench/threads.py --output results/threads_cpu.json

Every chain that `augury bench` runs on batches, on one thread and on two in the same rounds, by the wall clock. It takes a machine
on which nothing else runs.
"""

import argparse
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from augury.explain.throughput.timing import Task, rates
from augury.explain.throughput.workloads import JOBS, batches, call_of, images_for, sizes
from augury.jobs.environment import environment
from augury.train.engine.checkpoint import write_json

WORKLOADS = ("chain", "chain_cutmix", "randaugment")
THREADS = (1, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    rows = list(_measured(options.rounds))
    with _busy_core():
        rows = [{**row, "busy_core": busy["ratio"]} for row, busy in zip(rows, _measured(options.rounds), strict=True)]
    result = {
        "version": 1,
        "what": "images per second by the wall clock on one thread and on two, in interleaved rounds; the ratio, and the same "
        "ratio while another process holds one of the cores",
        "command": f"python bench/threads.py --rounds {options.rounds} --output FILE",
        "environment": {**environment("cpu"), "threads": "1 and 2", "cores": str(len(os.sched_getaffinity(0)))},
        "rows": rows,
    }
    write_json(options.output, result)
    print(json.dumps(result, indent=1))


def _measured(rounds: int) -> Iterator[dict[str, Any]]:
    for size in sizes("cpu", quick=False):
        for job in WORKLOADS:
            for batch in batches("chain", size, "cpu", quick=False):
                call = call_of(job, images_for(batch))
                found = rates([Task(_on(count, call), batch.batch) for count in THREADS], rounds, 0.25)
                one, two = (rate.wall for rate in found)
                yield {"job": job, "what": JOBS[job], "size": size.name, "batch": batch.batch,
                       "one_thread": round(one), "two_threads": round(two), "ratio": round(two / one, 2)}  # fmt: skip


def _on(threads: int, call: Callable[[], object]) -> Callable[[], object]:
    def done() -> object:
        torch.set_num_threads(threads)
        return call()

    return done


@contextmanager
def _busy_core() -> Iterator[None]:
    """Another process that computes all the time, as a neighbour on the machine would."""
    other = multiprocessing.get_context("spawn").Process(target=_compute, daemon=True)
    other.start()
    try:
        yield
    finally:
        other.kill()
        other.join()


def _compute() -> None:
    while True:
        pass


if __name__ == "__main__":
    main()
