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
    """Images per second: the median of n rounds, the slowest and the fastest round; `wall`: the median by the wall clock.

    The first three go by the processor's time on a CPU, where one thread does the work: what else runs on the machine
    then hardly disturbs them, and on a quiet machine they equal `wall`. On a GPU all go by the wall clock.
    """

    median: float
    low: float
    high: float
    n: int
    wall: float


def rates(tasks: list[Task], rounds: int, seconds: float, advance: Callable[[], None] = lambda: None) -> list[Rate]:
    """One rate per task. Every round runs each task for about `seconds` (at least once); the first calls are not counted."""
    repeats = []
    for task in tasks:
        _timed(task, 1)
        once = _timed(task, 1)[0]
        repeats.append(max(1, min(10_000, round(seconds / max(once, 1e-9)))))
    found: list[list[tuple[float, float]]] = [[] for _ in tasks]
    for _ in range(rounds):
        for task, count, row in zip(tasks, repeats, found, strict=True):
            row.append(_timed(task, count))
        advance()
    return [_rate(task, count, row) for task, count, row in zip(tasks, repeats, found, strict=True)]


def _rate(task: Task, count: int, seconds: list[tuple[float, float]]) -> Rate:
    own, wall = ([task.images * count / max(pair[k], 1e-9) for pair in seconds] for k in (0, 1))
    return Rate(statistics.median(own), min(own), max(own), len(own), statistics.median(wall))


def _timed(task: Task, count: int) -> tuple[float, float]:
    """Seconds of `count` calls: by the clock that counts for the device, and by the wall clock."""
    cuda = task.device.startswith("cuda")
    if cuda:
        torch.cuda.synchronize()
    own, wall = time.process_time(), time.perf_counter()
    for _ in range(count):
        task.call()
    if cuda:
        torch.cuda.synchronize()
    own, wall = time.process_time() - own, time.perf_counter() - wall
    return (wall if cuda else own), wall
