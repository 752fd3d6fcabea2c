"""The cost of a training: its counts over all processes, wall and device seconds."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from augury.train.engine.world import World
from augury.train.method.counts import Counts


def gather(counts: Counts, before: Counts, world: World) -> None:
    """Add what the other processes have counted since `before`; steps are not added, since all processes take them together."""
    if world.size > 1:
        names = ("images", "forward", "backward")
        more = world.total([getattr(counts, name) - getattr(before, name) for name in names])
        for name, value in zip(names, more, strict=True):
            total = getattr(before, name) + value
            setattr(counts, name, round(total) if name == "images" else round(total, 9))


class Stopwatch:
    """Wall and device seconds of an epoch's steps.

    Device time is, on the CPU, the CPU time of all threads of the process; on CUDA, the time from the start to the end of
    every step by the device's clock, read once per epoch so that no step waits.
    """

    def __init__(self, device: torch.device) -> None:
        self.cuda = device.type == "cuda"
        self.events: list[tuple[Any, Any]] = []
        self.wall, self.cpu = time.perf_counter(), time.process_time()
        # Wall seconds set from outside if several trainings share the time.
        self.share: float | None = None

    @contextmanager
    def step(self) -> Iterator[None]:
        if not self.cuda:
            yield
            return
        pair = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        pair[0].record()
        yield
        pair[1].record()
        self.events.append(pair)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out the time in this context, in which another training's step runs."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall += time.perf_counter() - wall
        self.cpu += time.process_time() - cpu

    def read(self) -> tuple[float, float]:
        """(wall, device) seconds since the start; on CUDA, waits for the device."""
        if self.cuda:
            torch.cuda.synchronize()
        wall = time.perf_counter() - self.wall if self.share is None else self.share
        if not self.cuda:
            return wall, time.process_time() - self.cpu
        return wall, sum(start.elapsed_time(end) for start, end in self.events) / 1000


@dataclass
class WallClock:
    """Wall seconds of a training, including those before it was resumed.

    before: the seconds in the checkpoint. concurrent: how many trainings share this process's time equally.
    """

    before: float = 0.0
    begun: float = field(default_factory=time.perf_counter)
    concurrent: int = 1

    def read(self) -> float:
        return self.before + (time.perf_counter() - self.begun) / self.concurrent


@dataclass
class Tally:
    """Sums over an epoch's steps. total: the losses, each times its number of images."""

    watch: Stopwatch
    total: Tensor
    images: int = 0
    rate: float = 0.0
    logs: dict[str, Tensor] = field(default_factory=dict)
