"""Runs several trainings in one process on one device, a step of each in turn, with the results of separate runs.

On a GPU, each has its own stream, so that small networks fill the device together; captured steps make the turns short. Each
training has its own states of PyTorch's generators, which are set during its turns.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from augury.train.engine.costs import Tally
from augury.train.engine.failure import explained
from augury.train.engine.run import OnEpoch, Trainer
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.setup import cuda_devices


@dataclass
class Lane:
    """One of the trainings: its folder, its epochs so far, and the state of the generators between its turns."""

    trainer: Trainer
    directory: RunDirectory | None
    on_epoch: OnEpoch | None
    rows: list[dict[str, Any]] = field(default_factory=list)
    stream: Any = None
    generators: list[Tensor] = field(default_factory=list)
    tally: Tally | None = None
    steps: Iterator[None] = iter(())

    def __post_init__(self) -> None:
        device = self.trainer.training.device
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self.generators = _states(device)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """A context with this training's generator states and stream."""
        device = self.trainer.training.device
        with torch.random.fork_rng(devices=cuda_devices(device)):
            torch.set_rng_state(self.generators[0])
            if device.type == "cuda":
                torch.cuda.set_rng_state(self.generators[1], device)
            with nullcontext() if self.stream is None else torch.cuda.stream(self.stream):
                yield
            self.generators = _states(device)

    def step(self) -> bool:
        """Run one step; False if the epoch has no more."""
        with self.turn():
            return next(self.steps, self) is None

    def open(self) -> None:
        with self.turn():
            self.tally = self.trainer.open_epoch()
            self.steps = self.trainer.steps(self.tally)

    def close(self, seconds: float) -> None:
        """End the epoch. seconds: its share of the time that all trainings took together."""
        assert self.tally is not None
        with self.turn():
            self.tally.watch.share = seconds
            row = self.trainer.close_epoch(self.tally)
            self.rows.append(row)
            self.trainer.record(row)
        if self.on_epoch:
            self.on_epoch(row)


def run_together(
    trainers: list[Trainer], directories: list[RunDirectory | None], on_epochs: Sequence[OnEpoch | None]
) -> list[dict[str, Any]]:
    """Train all to the end; returns their results in order, as from `Trainer.run`. on_epochs: hears the epochs of each.

    `seconds` of each is its equal share of the time of the epochs in which they were trained together.
    """
    first = trainers[0].training
    with explained(first.settings.batch_size):
        lanes = [Lane(*each) for each in zip(trainers, directories, on_epochs, strict=True)]
        for lane in lanes:
            with lane.turn():
                lane.rows = lane.trainer.begin(lane.directory)
            lane.trainer.training.progress.clock.concurrent = len(lanes)
        while active := [lane for lane in lanes if not lane.trainer.training.done]:
            _epoch(active, first.device)
        results = []
        for lane in lanes:
            with lane.turn():
                results.append(lane.trainer.conclude(lane.rows))
    return results


def _epoch(lanes: list[Lane], device: torch.device) -> None:
    """Train an epoch of each, a step of each in turn."""
    begun = time.perf_counter()
    for lane in lanes:
        lane.open()
    going = lanes
    while going:
        going = [lane for lane in going if lane.step()]
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    seconds = (time.perf_counter() - begun) / len(lanes)
    for lane in lanes:
        lane.close(seconds)


def _states(device: torch.device) -> list[Tensor]:
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]
