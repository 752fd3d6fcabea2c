"""The training loop: augment, forward, loss, backward, update; resumable at every epoch, bit for bit on the CPU."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from augury.train.engine.captured import Capture
from augury.train.engine.costs import Stopwatch, Tally, WallClock, gather
from augury.train.engine.failure import Watch, explained
from augury.train.engine.feed import Share, load_batches
from augury.train.engine.following import follow
from augury.train.engine.frozen import stay
from augury.train.engine.networks import derived_seed
from augury.train.engine.outcome import conclude, epoch_row
from augury.train.engine.parallel import overlapped
from augury.train.engine.refinement import clock_at, estimates_only, estimating
from augury.train.engine.resume import record_epoch, resume
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.sampling import epoch_batches
from augury.train.engine.schedule import rate_at
from augury.train.engine.setup import cuda_devices
from augury.train.engine.step import compute
from augury.train.engine.streams import Drawn, UnlabelledEpoch
from augury.train.engine.training import Training
from augury.train.engine.update import set_rate
from augury.train.logs.followed import Followed

OnEpoch = Callable[[dict[str, Any]], None]


@dataclass
class Trainer:
    """Runs a training. capture: records its steps as CUDA graphs; None if they run eagerly. followed: the trackers that log it."""

    training: Training
    capture: Capture | None = None
    followed: Followed = field(default_factory=Followed)

    def __post_init__(self) -> None:
        t = self.training
        self.first_step = t.counts.steps
        if self.capture is None and Capture.wanted(t.settings, t.device, t.world):
            self.capture = Capture(t.device)

    def run(self, directory: RunDirectory | None = None, on_epoch: OnEpoch | None = None) -> dict[str, Any]:
        """Train to the last epoch, resuming from the folder's checkpoint if it has one; the test part is read once, at the end.

        Returns result.json's content. With a folder, writes metrics.jsonl and checkpoints, and at the end the weights and
        test predictions of every network (the caller writes result.json: RunDirectory.finish). Raises RunError if the loss
        becomes non-finite (the step is saved in the folder) or memory runs out.
        """
        t = self.training
        with explained(t.settings.batch_size):
            rows = self.begin(directory)
            try:
                with torch.random.fork_rng(devices=cuda_devices(t.device)):
                    while not t.done:
                        rows.append(self.train_epoch())
                        self.record(rows[-1])
                        if on_epoch:
                            on_epoch(rows[-1])
                return self.conclude(rows)
            except BaseException:
                self.followed.close({})  # without a summary: the training did not finish
                raise

    def conclude(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Evaluate the finished training on the test part, once, and return result.json's content."""
        if self.capture is not None and self.capture.note:
            self.training.progress.notes.append(self.capture.note)
        result = conclude(self.training, rows)
        self.followed.end(result)
        notes = [*result.get("notes", ()), *self.followed.notes]
        return result | ({"notes": notes} if notes else {})

    def begin(self, directory: RunDirectory | None) -> list[dict[str, Any]]:
        """Start, or resume from the folder's checkpoint if it has one; returns the metrics of the epochs already trained."""
        t = self.training
        t.progress.clock = WallClock()
        t.output.directory = directory if t.world.leads else None
        rows = resume(t, directory)
        self.first_step = t.counts.steps
        self.followed = follow(t, t.output.directory, lambda: next(self._batches()))
        return rows

    def record(self, row: dict[str, Any]) -> None:
        """Write an epoch's metrics and, if one is due, a checkpoint; keep the weights at the end of stage one."""
        record_epoch(self.training, row)
        self.followed.scalars(row)

    def train_epoch(self, *, evaluated: bool = True) -> dict[str, Any]:
        """Train one epoch, evaluate it on the validation part and return its line of metrics.jsonl; the line is empty without the
        evaluation, which does not affect the training."""
        tally = self.open_epoch()
        for _ in self.steps(tally):
            pass
        return self.close_epoch(tally, evaluated=evaluated)

    def train_to_the_end(self) -> dict[str, Any]:
        """Train all epochs without writing files, evaluate only the last one, and return its line of metrics.jsonl."""
        t, row = self.training, dict[str, Any]()
        with torch.random.fork_rng(devices=cuda_devices(t.device)):
            for epoch in range(t.settings.total_epochs):
                row = self.train_epoch(evaluated=epoch + 1 == t.settings.total_epochs)
        return row

    def open_epoch(self) -> Tally:
        """Put the networks into training mode and start counting."""
        t = self.training
        # The networks' own noise (dropout) is reseeded every epoch, so that a resumed run draws the same values.
        name = f"network of process {t.world.rank}" if t.world.rank else "network"
        torch.random.manual_seed(derived_seed(t.settings.seed, name, t.epoch))
        t.method.train()
        stay(t.settings, t.networks)
        t.method.start_epoch(t.epoch, t.settings.total_epochs)
        return Tally(Stopwatch(t.device), torch.zeros((), device=t.device))

    def steps(self, tally: Tally) -> Iterator[None]:
        """Run the epoch's steps, yielding after each."""
        t = self.training
        other = None if t.data.unlabelled is None else t.data.unlabelled.epoch(t.epoch, t.steps_per_epoch, t.batch_size)
        before, watch = replace(t.counts), Watch(t)
        only = estimates_only(t.settings, clock_at(t.settings, t.epoch, t.counts.steps))
        with estimating(t.networks) if only else nullcontext():
            yield from self._steps(tally, watch, other)
        watch.check()
        gather(t.counts, before, t.world)

    def _steps(self, tally: Tally, watch: Watch, other: UnlabelledEpoch | None) -> Iterator[None]:
        t = self.training
        for number, share in enumerate(load_batches(t.data.train, self.shares(), t.settings, t.device)):
            tally.rate = rate_at(t.settings, t.epoch * t.steps_per_epoch + number, t.steps_per_epoch)
            set_rate(t.optimizer, tally.rate)
            streams = {} if other is None else {"unlabelled": other.step(number).share(t.world.rank, t.world.size)}
            with tally.watch.step(), watch.step(share, streams):
                loss, said = self._step(share, streams)
            watch.see(loss)
            tally.total += loss * share.count
            for name, value in said.items():
                logs = tally.logs.get(name, torch.zeros((), device=t.device))
                tally.logs[name] = logs + value * (share.weight * share.count)
            tally.images += share.count
            with tally.watch.paused():
                yield

    def close_epoch(self, tally: Tally, *, evaluated: bool = True) -> dict[str, Any]:
        """End the epoch; if `evaluated`, evaluate it, take the requested measurements and return its line of metrics.jsonl."""
        t = self.training
        loss = tally.total.item() / max(1, tally.images)
        wall, device = tally.watch.read()
        t.progress.seconds += wall
        t.progress.device_seconds += device
        t.world.average_buffers(t.shown)
        if t.average is not None:
            t.world.average_buffers(t.model)
        t.progress.epoch += 1
        t.method.end_epoch()
        return epoch_row(t, loss, tally.rate, tally.logs, tally.images) if evaluated else {}

    def shares(self) -> Iterator[Share]:
        """This process's rows of each of the epoch's steps, and how often each row was seen earlier in the epoch."""
        t = self.training
        for rows, visits in self._batches():
            own, weight = t.world.share(rows)
            yield Share(own, t.world.share(visits)[0], weight, len(rows))

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        t = self.training
        groups = None
        if t.settings.sampling == "groups" and t.data.groups is not None:
            groups = t.data.groups.of_split(t.data.train)
        elif t.settings.sampling == "classes":
            groups = t.data.train.labels
        return epoch_batches(t.data.train, groups, t.settings.seed, t.epoch, batch_size=t.batch_size,
                             images=t.epoch_images, steps=t.steps_per_epoch,
                             each=t.strategy.images_per_class)  # fmt: skip

    def _step(self, share: Share, streams: dict[str, Drawn]) -> tuple[Tensor, dict[str, Tensor]]:
        """One optimiser step on these rows; returns the sums of its turns' losses and of their logged values."""
        t = self.training
        clock = t.method.clock
        program = t.strategy.program(clock)
        if self.capture is None:
            done = compute(t, share, streams, clock, program)
        else:
            done = self.capture.step(t, share, streams, clock, program)
        if t.overlapped is None and t.counts.steps == self.first_step:
            t.overlapped = overlapped(t.method, t.world)
        t.counts.steps += 1
        if t.average is not None:
            t.average.update(t.model)
        return done
