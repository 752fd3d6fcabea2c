"""Rates measured in interleaved rounds, so that a machine that slows down slows all of them down."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Task:
    """`call` augments `images` images once."""

    call: Callable[[], object]
    images: int
    device: str = "cpu"


@dataclass(frozen=True)
class Rate:
    """Images per second: the median of n rounds, and the slowest and fastest round."""

    median: float
    low: float
    high: float
    n: int


def rates(tasks: list[Task], rounds: int, seconds: float, advance: Callable[[], None] = lambda: None) -> list[Rate]:
    """One rate per task. Every round runs each task for about `seconds` (at least once); the first calls are not counted."""
    repeats = []
    for task in tasks:
        _timed(task, 1)
        once = _timed(task, 1)
        repeats.append(max(1, min(10_000, round(seconds / max(once, 1e-9)))))
    found: list[list[float]] = [[] for _ in tasks]
    for _ in range(rounds):
        for task, count, row in zip(tasks, repeats, found, strict=True):
            row.append(task.images * count / _timed(task, count))
        advance()
    return [Rate(statistics.median(row), min(row), max(row), len(row)) for row in found]


def _timed(task: Task, count: int) -> float:
    cuda = task.device.startswith("cuda")
    if cuda:
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(count):
        task.call()
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start
