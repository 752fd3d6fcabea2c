"""The training loop: augment, forward, loss, backward, update; resumable at every epoch, bit for bit on the CPU."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from augury.augment.pipeline import Pipeline
from augury.augment.stage import Normalize
from augury.core.errors import RunError
from augury.core.options import parse_spec
from augury.core.plan import Clock
from augury.train.data.dataset import Dataset, Split
from augury.train.data.groups import Groups
from augury.train.data.labels import labelled
from augury.train.engine import checkpoint
from augury.train.engine.costs import Counts, Stopwatch, counting
from augury.train.engine.evaluate import evaluate
from augury.train.engine.keep import HostFill, given_network, with_early_head
from augury.train.engine.networks import derived_seed, described, make_model, make_networks, network_specs
from augury.train.engine.outcome import figures, write_outcome
from augury.train.engine.retrieval import retrieve
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.sampling import balanced_batches
from augury.train.engine.schedule import learning_rate
from augury.train.engine.selection import Selection
from augury.train.engine.settings import Settings
from augury.train.engine.setup import begin_groups, cuda_devices, first_two, on_device, pick_device, pipelines_for
from augury.train.engine.streams import Drawn, Unlabelled, check_groups, grouped_order, repeated_order
from augury.train.engine.views import StepViews, batches
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
    optimizer: torch.optim.Optimizer
    device: torch.device
    train_split: Split
    validation_split: Split
    counts: Counts = field(default_factory=Counts)
    epoch: int = 0
    seconds: float = 0.0
    device_seconds: float = 0.0
    fill: HostFill | None = None
    unlabelled: Unlabelled | None = None
    groups: Groups | None = None
    selection: Selection = field(default_factory=lambda: Selection("last", None, None))
    further: dict[str, Tensor] = field(default_factory=dict)

    @staticmethod
    def prepare(settings: Settings, dataset: Dataset, streams: dict[str, Tensor] | None = None) -> "Training":
        """Build everything named in the settings; InputError before anything is written when a name or value is wrong.

        streams: further images beside the training part, uint8 [N,K,C,H,W], by the names strategies ask for.
        """
        settings = settings.resolved(len(dataset.train.ids))
        device = pick_device(settings.device)
        strategy = build_strategy(parse_spec(settings.strategy, "--strategy"))
        pipelines = pipelines_for(settings, dataset, strategy)
        groups = begin_groups(settings, dataset, strategy, pipelines, set(streams or ()))
        strategy = with_early_head(strategy, pipelines, len(dataset.classes))
        kept = labelled(dataset, labels=settings.labels, per_class=settings.labels_per_class, seed=settings.seed)
        check_groups(strategy, settings.batch_size or 0)
        with torch.random.fork_rng(devices=cuda_devices(device)):
            model = make_networks(settings, dataset, strategy).to(device).to(memory_format=torch.channels_last)
            extra = nn.ModuleDict(strategy.modules(model)).to(device)
        parameters = [*model.parameters(), *extra.parameters()]
        optimizer = torch.optim.SGD(
            parameters, lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay,
            nesterov=settings.nesterov and settings.momentum > 0,
        )  # fmt: skip
        normalize = next(stage for stage in pipelines[0].stages if isinstance(stage, Normalize))
        counts = Counts()
        channels = dataset.train.images.shape[1]
        named = partial(given_network, classes=len(dataset.classes), channels=channels, device=device)
        training = Training(settings, dataset, pipelines, normalize, model, extra, strategy, optimizer, device,
                            on_device(kept, device), on_device(dataset.validation, device), counts,
                            fill=HostFill.of(pipelines, model, extra, normalize, counts, named), groups=groups,
                            selection=Selection(settings.select, settings.patience, groups),
                            further={name: images.to(device) for name, images in (streams or {}).items()})  # fmt: skip
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
    def networks(self) -> list[nn.Module]:
        """The networks that are trained together; mostly one."""
        return members(self.model)

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

    def run(self, directory: RunDirectory | None = None, on_epoch: OnEpoch | None = None) -> dict[str, Any]:
        """Train to the last epoch, from the folder's checkpoint where there is one; the test part is read once, at the end.

        Returns result.json's content. With a folder, writes metrics.jsonl and a checkpoint per epoch, and at the end
        the weights and test predictions of every network (result.json is the caller's: RunDirectory.finish).
        Raises RunError when the loss is no longer finite.
        """
        started = time.perf_counter()
        rows = self.resume(directory) if directory else []
        with torch.random.fork_rng(devices=cuda_devices(self.device)):
            while self.epoch < self.settings.epochs and not self.selection.stopped(self.epoch):
                row = self.train_epoch()
                rows.append(row)
                if directory:
                    directory.append_metrics(row)
                    self.save(directory)
                if on_epoch:
                    on_epoch(row)
        self.selection.restore(self.model)
        part = on_device(self.dataset.test, self.device)
        tests = [evaluate(network, part, self.normalize, len(self.dataset.classes)) for network in self.networks]
        if directory:
            for number, (network, test) in enumerate(zip(self.networks, tests, strict=True)):
                write_outcome(directory.path, number, network, part, test)
        found, named = figures(tests, rows), described(network_specs(self.settings, self.strategy))
        seconds = {"training": self.seconds, "device": self.device_seconds, "wall": time.perf_counter() - started}
        retrieval = self.dataset.retrieval
        ranking = {} if retrieval is None else retrieve(self.networks[0], retrieval, self.normalize, self.device).dict()
        return {
            "version": 1, **found[0], "counts": self.counts.dict(),
            "seconds": {name: round(value, 3) for name, value in seconds.items()},
            "networks": [{**name, **values} for name, values in zip(named, found, strict=True)],
            **({"retrieval": ranking} if ranking else {}),
        }  # fmt: skip

    def train_epoch(self) -> dict[str, Any]:
        """One epoch and the evaluation on the validation part; the epoch's line of metrics.jsonl."""
        # The networks' own noise (dropout) starts anew with every epoch, so that a resumed run draws the same.
        torch.random.manual_seed(derived_seed(self.settings.seed, "network", self.epoch))
        self.model.train()
        total, images, rate = torch.zeros((), device=self.device), 0, 0.0
        logs: dict[str, Tensor] = {}
        other = None if self.unlabelled is None else self.unlabelled.epoch(self.epoch, self.steps_per_epoch, self.batch_size)
        watch = Stopwatch(self.device)
        for number, (rows, visits) in enumerate(self._batches()):
            rate = self._set_rate(self.epoch * self.steps_per_epoch + number)
            with watch.step():
                streams = {} if other is None else {"unlabelled": other.step(number)}
                loss_sum, said = self._step(rows, visits, streams)
            total += loss_sum * len(rows)
            for name, value in said.items():
                logs[name] = logs.get(name, torch.zeros((), device=self.device)) + value * len(rows)
            images += len(rows)
        loss = total.item() / max(1, images)
        wall, device = watch.read()
        self.seconds += wall
        self.device_seconds += device
        if not math.isfinite(loss):
            raise RunError(f"the training loss is {loss} in epoch {self.epoch + 1}; a smaller --lr usually helps")
        self.epoch += 1
        self.strategy.end_epoch(Clock(self.epoch, self.settings.epochs, self.counts.steps))
        found = [evaluate(each, self.validation_split, self.normalize, len(self.dataset.classes)) for each in self.networks]
        row = self.selection.see(self.epoch, found[0], self.validation_split, self.model) | {
            "epoch": self.epoch, "train_loss": loss, "learning_rate": rate, "validation_accuracy": found[0].accuracy,
            "validation_loss": found[0].loss, "seconds": round(self.seconds, 3),
            "device_seconds": round(self.device_seconds, 3), "counts": self.counts.dict(),
        }  # fmt: skip
        if len(found) > 1:
            row["validation_accuracies"] = [each.accuracy for each in found]
        return row | ({"logs": {name: value.item() / images for name, value in logs.items()}} if logs else {})

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The rows of each of the epoch's steps, and how often each was seen before in the epoch."""
        ids, seed = self.train_split.ids, self.settings.seed
        if self.settings.sampling == "groups" and self.groups is not None:
            yield from balanced_batches(ids, self.groups.of_split(self.train_split), seed=seed, epoch=self.epoch,
                                        batch_size=self.batch_size, steps=self.steps_per_epoch)  # fmt: skip
            return
        each = getattr(self.strategy, "images_per_class", 0)
        if each:
            order, visits = grouped_order(
                self.train_split, seed, self.epoch, self.epoch_images, batch_size=self.batch_size, each=each
            )  # fmt: skip
        else:
            order, visits = repeated_order(ids, seed, self.epoch, self.epoch_images)
        for places in batches(torch.arange(len(order), device=order.device), self.batch_size):
            yield order[places], visits[places]

    def _step(self, rows: Tensor, visits: Tensor, streams: dict[str, Drawn]) -> tuple[Tensor, dict[str, Tensor]]:
        """One optimiser step on these rows: the sum of its turns' losses and of what they log."""
        clock = Clock(self.epoch, self.settings.epochs, self.counts.steps)
        views = StepViews(
            self.train_split, rows, len(self.dataset.classes), self.pipelines, self.settings.seed, clock, self.counts,
            visits, None if self.fill is None else self.fill.at(clock, len(rows)), streams, self.further,
        )  # fmt: skip
        total = torch.zeros((), device=self.device)
        logs: dict[str, Tensor] = {}
        with counting(self.networks, self.counts, len(rows)):
            for turn in range(self.strategy.turns):
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self._half()):
                    step = self.strategy(self.model, views, program=self.strategy.program(clock), turn=turn)
                # Parameters without a gradient in this turn must stay as they are: momentum would move zeros.
                self.optimizer.zero_grad(set_to_none=True)
                step.loss.backward()
                self.optimizer.step()
                total = total + step.loss.detach()
                logs |= {name: logs[name] + value if name in logs else value for name, value in step.logs.items()}
        self.counts.steps += 1
        return total, logs

    def _set_rate(self, step: int) -> float:
        s = self.settings
        rate = learning_rate(step, s.epochs * self.steps_per_epoch, base=s.lr, sched=s.sched, milestones=s.decay_milestones,
                             rate=s.decay_rate)  # fmt: skip
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def _half(self) -> bool:
        wanted = self.settings.precision
        return wanted == "bfloat16" or (wanted == "auto" and self.device.type == "cuda" and torch.cuda.is_bf16_supported())

    def save(self, directory: RunDirectory) -> None:
        """Write the checkpoint of the epochs done so far."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"extra.{k}": v for k, v in self.extra.state_dict().items()}
        tensors |= {f"optimizer.{k}": v for k, v in checkpoint.optimizer_tensors(self.optimizer).items()}
        tensors |= {f"selected.{k}": v for k, v in self.selection.weights.items()}
        state = {
            "epoch": self.epoch, "seconds": self.seconds, "device_seconds": self.device_seconds, "counts": self.counts.dict(),
            "strategy": self.strategy.state_dict(), "selection": self.selection.state(),
        }  # fmt: skip
        checkpoint.save_checkpoint(directory.path, tensors, state)

    def resume(self, directory: RunDirectory) -> list[dict[str, Any]]:
        """Take up the folder's checkpoint; the metrics of the epochs it holds. Without one, start from the beginning."""
        found = checkpoint.load_checkpoint(directory.path)
        if found is None:
            directory.write_metrics([])
            return []
        tensors, state = found
        self.model.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model.")})
        self.extra.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("extra.")})
        checkpoint.restore_optimizer(self.optimizer, {k[10:]: v for k, v in tensors.items() if k.startswith("optimizer.")})
        self.epoch, self.seconds, self.device_seconds = state["epoch"], state["seconds"], state["device_seconds"]
        self.counts = Counts(**state["counts"])
        if self.fill is not None:
            self.fill.counts = self.counts
        self.strategy.load_state_dict(state["strategy"])
        self.selection.load(state["selection"], {k[9:]: v for k, v in tensors.items() if k.startswith("selected.")})
        rows = [row for row in directory.metrics() if row["epoch"] <= self.epoch]
        directory.write_metrics(rows)
        return rows
