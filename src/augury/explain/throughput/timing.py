"""Rates measured in interleaved rounds, so that a machine's slowdown affects all of them alike."""

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
    """Images per second: the median of n rounds, the slowest and the fastest round; `wall`: the median in wall-clock time.

    On a CPU, where one thread does the work, the first three are in processor time: other processes hardly affect them, and on
    an idle machine they equal `wall`. On a GPU all are in wall-clock time.
    """

    median: float
    low: float
    high: float
    n: int
    wall: float


def rates(tasks: list[Task], rounds: int, seconds: float, advance: Callable[[], None] = lambda: None) -> list[Rate]:
    """One rate per task. Every round runs each task for about `seconds` (at least once), after a warm-up of a quarter of that."""
    repeats = [_repeats(task, seconds) for task in tasks]
    found: list[list[tuple[float, float]]] = [[] for _ in tasks]
    for _ in range(rounds):
        for task, count, row in zip(tasks, repeats, found, strict=True):
            row.append(_timed(task, count))
        advance()
    return [_rate(task, count, row) for task, count, row in zip(tasks, repeats, found, strict=True)]


def _repeats(task: Task, seconds: float) -> int:
    """How many calls take that long. One call does not tell: some draw for many that follow."""
    _timed(task, 1)
    count = 1
    while (spent := _timed(task, count)[0]) < seconds / 4 and count < 10_000:
        count *= 2
    return max(1, min(10_000, round(count * seconds / max(spent, 1e-9))))


def _rate(task: Task, count: int, seconds: list[tuple[float, float]]) -> Rate:
    own, wall = ([task.images * count / max(pair[k], 1e-9) for pair in seconds] for k in (0, 1))
    return Rate(statistics.median(own), min(own), max(own), len(own), statistics.median(wall))


def _timed(task: Task, count: int) -> tuple[float, float]:
    """Seconds of `count` calls: in processor time (wall-clock time on a GPU), and in wall-clock time."""
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
