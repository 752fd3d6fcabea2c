"""The training loop: augment, forward, loss, backward, update; resumable at every epoch, bit for bit on the CPU."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from augury.augment.pipeline import Pipeline
from augury.augment.stages.normalize import Normalize
from augury.core.options import parse_spec
from augury.core.plan import Clock
from augury.train.data.dataset import Dataset, Split
from augury.train.data.groups import Groups
from augury.train.data.labels import labelled
from augury.train.engine import state
from augury.train.engine.captured import Capture
from augury.train.engine.costs import Counts, Stopwatch, Tally, WallClock, counting
from augury.train.engine.failure import Watch, check_now, explained
from augury.train.engine.feed import Share, fed
from augury.train.engine.keep import HostFill, given_network, with_early_head
from augury.train.engine.networks import derived_seed, make_model, make_networks
from augury.train.engine.outcome import conclude, epoch_row
from augury.train.engine.refinement import check_refinement, clock_at, pipelines_at
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.sampling import epoch_batches
from augury.train.engine.schedule import rate_at
from augury.train.engine.selection import Selection
from augury.train.engine.settings import Settings
from augury.train.engine.setup import (
    begin_groups,
    check_update,
    cuda_devices,
    first_two,
    half,
    on_device,
    pick_device,
    pipelines_for,
)
from augury.train.engine.streams import Drawn, Unlabelled, check_groups
from augury.train.engine.update import Average, Update, make_optimizer, set_rate
from augury.train.engine.views import StepViews, batches
from augury.train.engine.world import World
from augury.train.strategies.build import strategy as build_strategy
from augury.train.strategies.strategy import Strategy, members

__all__ = ["Training", "make_model", "on_device", "pick_device"]
OnEpoch = Callable[[dict[str, Any]], None]


@dataclass
class Training:
    """Everything a run holds while it trains. model: the network, or an `nn.ModuleList` of those trained together."""

    settings: Settings
    dataset: Dataset
    pipelines: tuple[Pipeline, ...]
    normalize: Normalize
    model: nn.Module
    extra: nn.ModuleDict
    strategy: Strategy
    update: Update
    device: torch.device
    train_split: Split
    validation_split: Split
    counts: Counts = field(default_factory=Counts)
    epoch: int = 0
    seconds: float = 0.0
    device_seconds: float = 0.0
    clock: WallClock = field(default_factory=WallClock)
    fill: HostFill | None = None
    unlabelled: Unlabelled | None = None
    groups: Groups | None = None
    selection: Selection = field(default_factory=lambda: Selection("last", None, None))
    further: dict[str, Tensor] = field(default_factory=dict)
    world: World = field(default_factory=World)
    average: Average | None = None
    capture: Capture | None = None
    stage_one: dict[str, Tensor] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    directory: RunDirectory | None = None
    saved_at: float = -1e9

    @staticmethod
    def prepare(
        settings: Settings, dataset: Dataset, streams: dict[str, Tensor] | None = None, world: World | None = None
    ) -> "Training":
        """Build everything named in the settings; InputError before anything is written when a name or value is wrong.

        streams: further images beside the training part, uint8 [N,K,C,H,W], by the names strategies ask for. world: the
        processes that train together.
        """
        settings = settings.resolved(len(dataset.train.ids))
        device, world = pick_device(settings.device), world or World()
        strategy = build_strategy(parse_spec(settings.strategy, "--strategy"))
        seeded = getattr(strategy, "seeded", None)
        if seeded is not None:
            seeded(settings.seed)
        pipelines = pipelines_for(settings, dataset, strategy)
        notes = check_refinement(settings, pipelines, strategy)
        check_update(settings, strategy, world)
        groups = begin_groups(settings, dataset, strategy, pipelines, set(streams or ()))
        strategy = with_early_head(strategy, pipelines, len(dataset.classes))
        kept = labelled(dataset, labels=settings.labels, per_class=settings.labels_per_class, seed=settings.seed)
        check_groups(strategy, settings.batch_size or 0)
        with torch.random.fork_rng(devices=cuda_devices(device)):
            model = make_networks(settings, dataset, strategy).to(device).to(memory_format=torch.channels_last)
            extra = nn.ModuleDict(strategy.modules(model)).to(device)
        parameters = [*model.parameters(), *extra.parameters()]
        captured = Capture.wanted(settings, device, world)
        update = Update(make_optimizer(settings, parameters, tensor_rate=captured), parameters, settings.clip_grad, world)
        normalize = next(stage for stage in pipelines[0].stages if isinstance(stage, Normalize))
        counts, channels = Counts(), dataset.train.images.shape[1]
        named = partial(given_network, classes=len(dataset.classes), channels=channels, device=device)
        training = Training(settings, dataset, pipelines, normalize, model, extra, strategy, update, device,
                            on_device(kept, device), on_device(dataset.validation, device), counts, world=world, notes=notes,
                            fill=HostFill.of(pipelines, model, extra, normalize, counts, named), groups=groups,
                            selection=Selection(settings.select, settings.patience, groups),
                            further={name: images.to(device) for name, images in (streams or {}).items()})  # fmt: skip
        if settings.model_ema_decay is not None:
            training.average = Average(model, settings.model_ema_decay)
        if captured:
            training.capture = Capture(device)
        if "unlabelled" in strategy.streams:
            every = on_device(dataset.train, device)
            training.unlabelled = Unlabelled(every, getattr(strategy, "stream_ratio", 1), settings.seed)
        if training.fill is not None:
            training.fill.check(first_two(training.train_split, len(dataset.classes)))
        return training

    @property
    def pipeline(self) -> Pipeline:
        """The first pipeline."""
        return self.pipelines[0]

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        return self.update.optimizer

    @property
    def networks(self) -> list[nn.Module]:
        """The networks that are trained together; mostly one."""
        return members(self.model)

    @property
    def shown(self) -> nn.Module:
        """What is evaluated and kept: the averaged weights where they are averaged, else the model."""
        return self.model if self.average is None else self.average.model

    @property
    def batch_size(self) -> int:
        return self.settings.resolved(self.epoch_images).batch_size or 0

    @property
    def epoch_images(self) -> int:
        """Source images of an epoch: as many as the training part has, so that few labels mean the same number of steps."""
        return len(self.dataset.train.ids)

    @property
    def steps_per_epoch(self) -> int:
        return max(1, sum(1 for _ in batches(torch.arange(self.epoch_images), self.batch_size)))

    @property
    def done(self) -> bool:
        """Whether all epochs are trained, or the validation has stopped getting better."""
        return self.epoch >= self.settings.total_epochs or self.selection.stopped(self.epoch)

    def run(self, directory: RunDirectory | None = None, on_epoch: OnEpoch | None = None) -> dict[str, Any]:
        """Train to the last epoch, from the folder's checkpoint where there is one; the test part is read once, at the end.

        Returns result.json's content. With a folder, writes metrics.jsonl and checkpoints, and at the end the weights and
        test predictions of every network (result.json is the caller's: RunDirectory.finish). Raises RunError when the loss
        is no longer finite (with a reproduction in the folder) and when memory runs out.
        """
        rows = self.begin(directory)
        with torch.random.fork_rng(devices=cuda_devices(self.device)), explained(self.settings.batch_size):
            while not self.done:
                rows.append(self.train_epoch())
                self.keep(rows[-1])
                if on_epoch:
                    on_epoch(rows[-1])
        return conclude(self, rows)

    def begin(self, directory: RunDirectory | None) -> list[dict[str, Any]]:
        """Take up the folder's checkpoint, where there is one; the metrics of the epochs it holds."""
        self.clock = WallClock()
        self.directory = directory if self.world.leads else None
        return state.take_up(self, directory)

    def keep(self, row: dict[str, Any]) -> None:
        """Write an epoch's metrics and, where it is time, its checkpoint; keep the end of stage one."""
        self.stage_one = state.keep(self, row)

    def train_epoch(self) -> dict[str, Any]:
        """One epoch and the evaluation on the validation part; the epoch's line of metrics.jsonl."""
        tally = self.open_epoch()
        for _ in self.steps(tally):
            pass
        return self.close_epoch(tally)

    def open_epoch(self) -> Tally:
        # The networks' own noise (dropout) starts anew with every epoch, so that a resumed run draws the same.
        name = f"network of process {self.world.rank}" if self.world.rank else "network"
        torch.random.manual_seed(derived_seed(self.settings.seed, name, self.epoch))
        self.model.train()
        self.extra.train()
        return Tally(Stopwatch(self.device), torch.zeros((), device=self.device))

    def steps(self, tally: Tally) -> Iterator[None]:
        """The epoch's steps, one at a time."""
        other = None if self.unlabelled is None else self.unlabelled.epoch(self.epoch, self.steps_per_epoch, self.batch_size)
        before, watch = replace(self.counts), Watch(self)
        for number, share in enumerate(fed(self.train_split, self._shares(), self.settings, self.device)):
            tally.rate = rate_at(self.settings, self.epoch * self.steps_per_epoch + number, self.steps_per_epoch)
            set_rate(self.optimizer, tally.rate)
            streams = {} if other is None else {"unlabelled": other.step(number).share(self.world.rank, self.world.size)}
            with tally.watch.step(), watch.step(share, streams):
                loss, said = self._step(share, streams)
            watch.see(loss)
            tally.total += loss * share.count
            for name, value in said.items():
                logs = tally.logs.get(name, torch.zeros((), device=self.device))
                tally.logs[name] = logs + value * (share.weight * share.count)
            tally.images += share.count
            with tally.watch.paused():
                yield
        watch.check()
        self.counts.gather(before, self.world)

    def close_epoch(self, tally: Tally) -> dict[str, Any]:
        """Evaluate, measure what is asked for, and say how the epoch was."""
        loss = tally.total.item() / max(1, tally.images)
        wall, device = tally.watch.read()
        self.seconds += wall
        self.device_seconds += device
        self.world.average_buffers(self.shown)
        if self.average is not None:
            self.world.average_buffers(self.model)
        self.epoch += 1
        self.strategy.end_epoch(Clock(self.epoch, self.settings.epochs, self.counts.steps, seed=self.settings.seed))
        return epoch_row(self, loss, tally.rate, tally.logs, tally.images)

    def _shares(self) -> Iterator[Share]:
        """The rows of each of the epoch's steps that this process computes, and how often each was seen before in it."""
        for rows, visits in self._batches():
            own, weight = self.world.share(rows)
            yield Share(own, self.world.share(visits)[0], weight, len(rows))

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        groups = self.groups.of_split(self.train_split) if self.settings.sampling == "groups" and self.groups is not None else None
        return epoch_batches(self.train_split, groups, self.settings.seed, self.epoch, batch_size=self.batch_size,
                             images=self.epoch_images, steps=self.steps_per_epoch,
                             each=getattr(self.strategy, "images_per_class", 0))  # fmt: skip

    def _step(self, share: Share, streams: dict[str, Drawn]) -> tuple[Tensor, dict[str, Tensor]]:
        """One optimiser step on these rows: the sum of its turns' losses and of what they log."""
        clock = clock_at(self.settings, self.epoch, self.counts.steps)
        program = self.strategy.program(clock)
        if self.capture is None:
            done = self.compute(share, streams, clock, program)
        else:
            done = self.capture.step(self, share, streams, clock, program)
        self.counts.steps += 1
        if self.average is not None:
            self.average.update(self.model)
        return done

    def compute(
        self, share: Share, streams: dict[str, Drawn], clock: Clock, program: Any, epoch: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """A step's turns, each with an update of its own. epoch: the clock's as a tensor, for a step that is captured."""
        total = torch.zeros((), device=self.device)
        logs: dict[str, Tensor] = {}
        pieces = share.pieces(self.settings.grad_accum_steps)
        with counting(self.networks, self.counts, share.count):
            for turn in range(self.strategy.turns):
                self.update.begin()
                loss = torch.zeros((), device=self.device)
                for number, piece in enumerate(pieces):
                    own = {name: drawn.share(number, len(pieces)) for name, drawn in streams.items()}
                    views = self.views(piece, clock, own, epoch)
                    with torch.autocast(
                        self.device.type,
                        torch.bfloat16,
                        enabled=half(self.settings, self.device),
                        cache_enabled=self.capture is None,
                    ):
                        step = self.strategy(self.model, views, program=program, turn=turn)
                    part = step.loss if piece.weight == 1 else step.loss * piece.weight
                    part.backward()
                    loss = loss + part.detach()
                    for name, value in step.logs.items():
                        value = value * (piece.weight / share.weight) if len(pieces) > 1 else value
                        logs[name] = logs[name] + value if name in logs else value
                loss = self.update.gather(loss)
                check_now(loss)
                self.update.finish()
                total = total + loss
        return total, logs

    def views(self, share: Share, clock: Clock, streams: dict[str, Drawn], epoch: Tensor | None = None) -> StepViews:
        """The views of a step on these rows."""
        return StepViews(
            self.train_split, share.rows, len(self.dataset.classes), pipelines_at(self.settings, self.pipelines, clock),
            self.settings.seed, clock, self.counts, share.visits,
            None if self.fill is None else self.fill.at(clock, share.count), streams, self.further,
            images=share.images, address=epoch, smoothing=self.settings.smoothing,
        )  # fmt: skip

    def save(self, directory: RunDirectory) -> None:
        """Write the checkpoint of the epochs done so far."""
        state.save(self, directory.path)

    def resume(self, directory: RunDirectory) -> list[dict[str, Any]]:
        """Take up the folder's checkpoint; the metrics of the epochs it holds. Without one, start from the beginning."""
        return state.take_up(self, directory)
