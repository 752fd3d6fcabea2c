"""The training loop: augment, forward, loss, backward, update; resumable at every epoch, bit for bit on the CPU."""

import io
import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from augury.augment.build import build
from augury.augment.pipeline import Pipeline
from augury.augment.stage import Normalize
from augury.core.errors import InputError, RunError
from augury.core.noise import Noise
from augury.core.options import parse_chain, parse_spec
from augury.core.plan import Clock
from augury.train.data.dataset import Dataset, Split
from augury.train.data.groups import Groups, groups_of
from augury.train.engine import checkpoint
from augury.train.engine.evaluate import Evaluation, evaluate
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.sampling import balanced_batches, check_balanced
from augury.train.engine.schedule import learning_rate
from augury.train.engine.selection import Selection
from augury.train.engine.settings import Settings
from augury.train.engine.views import Counts, StepViews, batches, epoch_order
from augury.train.models.build import build as build_model
from augury.train.strategies.build import strategy as build_strategy
from augury.train.strategies.strategy import Strategy

OnEpoch = Callable[[dict[str, Any]], None]


@dataclass
class Training:
    """Everything a run holds while it trains."""

    settings: Settings
    dataset: Dataset
    pipeline: Pipeline
    normalize: Normalize
    model: nn.Module
    strategy: Strategy
    optimizer: torch.optim.Optimizer
    device: torch.device
    train_split: Split
    validation_split: Split
    groups: Groups | None
    selection: Selection
    streams: dict[str, Tensor] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)
    epoch: int = 0
    seconds: float = 0.0

    @staticmethod
    def prepare(settings: Settings, dataset: Dataset, streams: dict[str, Tensor] | None = None) -> "Training":
        """Build everything named in the settings; InputError before anything is written when a name or value is wrong.

        streams: further images beside the training part, uint8 [N,K,C,H,W], by the names strategies ask for.
        """
        settings = settings.resolved(len(dataset.train.ids))
        device = pick_device(settings.device)
        pipeline = build(parse_chain(settings.augment, "--augment"), (dataset.mean, dataset.std))
        strategy = build_strategy(parse_spec(settings.strategy, "--strategy"))
        groups = begin_groups(settings, dataset, strategy, pipeline, set(streams or ()))
        with torch.random.fork_rng(devices=_cuda(device)):
            torch.random.manual_seed(settings.seed)
            model = make_model(settings, dataset).to(device).to(memory_format=torch.channels_last)
            extra = nn.ModuleDict(strategy.modules(model)).to(device)
        parameters = [*model.parameters(), *extra.parameters()]
        optimizer = torch.optim.SGD(
            parameters, lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay,
            nesterov=settings.nesterov and settings.momentum > 0,
        )  # fmt: skip
        normalize = next(stage for stage in pipeline.stages if isinstance(stage, Normalize))
        return Training(settings, dataset, pipeline, normalize, model, strategy, optimizer, device,
                        on_device(dataset.train, device), on_device(dataset.validation, device), groups,
                        Selection(settings.select, settings.patience, groups),
                        {name: images.to(device) for name, images in (streams or {}).items()})  # fmt: skip

    @property
    def batch_size(self) -> int:
        return self.settings.resolved(len(self.train_split.ids)).batch_size or 0

    @property
    def steps_per_epoch(self) -> int:
        return max(1, sum(1 for _ in batches(torch.arange(len(self.train_split.ids)), self.batch_size)))

    def run(self, directory: RunDirectory | None = None, on_epoch: OnEpoch | None = None) -> dict[str, Any]:
        """Train to the last epoch, from the folder's checkpoint where there is one; the test part is read once, at the end.

        Returns result.json's content. With a folder, writes metrics.jsonl and a checkpoint per epoch, and at the end
        model.safetensors and predictions.npz (result.json is the caller's: RunDirectory.finish).
        Raises RunError when the loss is no longer finite.
        """
        started = time.perf_counter()
        rows = self.resume(directory) if directory else []
        with torch.random.fork_rng(devices=_cuda(self.device)):
            while self.epoch < self.settings.epochs and not self.selection.stopped(self.epoch):
                row = self.train_epoch()
                rows.append(row)
                if directory:
                    directory.append_metrics(row)
                    self.save(directory)
                if on_epoch:
                    on_epoch(row)
        self.selection.restore(self.model)
        test = evaluate(self.model, on_device(self.dataset.test, self.device), self.normalize, len(self.dataset.classes))
        result = self._result(test, rows, time.perf_counter() - started)
        if directory:
            self._write_outcome(directory, test)
        return result

    def train_epoch(self) -> dict[str, Any]:
        """One epoch and the evaluation on the validation part; the epoch's line of metrics.jsonl."""
        # The networks' own noise (dropout) starts anew with every epoch, so that a resumed run draws the same.
        torch.random.manual_seed(_epoch_seed(self.settings.seed, self.epoch))
        self.model.train()
        total, images, rate = torch.zeros((), device=self.device), 0, 0.0
        start = time.perf_counter()
        for number, (rows, visits) in enumerate(self._batches()):
            rate = self._set_rate(self.epoch * self.steps_per_epoch + number)
            total += self._step(rows, visits) * len(rows)
            images += len(rows)
        loss = total.item() / max(1, images)
        self.seconds += time.perf_counter() - start
        if not math.isfinite(loss):
            raise RunError(f"the training loss is {loss} in epoch {self.epoch + 1}; a smaller --lr usually helps")
        self.epoch += 1
        self.strategy.end_epoch(Clock(self.epoch, self.settings.epochs, self.counts.steps))
        found = evaluate(self.model, self.validation_split, self.normalize, len(self.dataset.classes))
        selected = self.selection.see(self.epoch, found, self.validation_split, self.model)
        return selected | {
            "epoch": self.epoch, "train_loss": loss, "learning_rate": rate, "validation_accuracy": found.accuracy,
            "validation_loss": found.loss, "seconds": round(self.seconds, 3), "counts": self.counts.dict(),
        }  # fmt: skip

    def _batches(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        """The rows of each of the epoch's steps, and how often each was seen before in the epoch."""
        ids, seed = self.train_split.ids, self.settings.seed
        if self.settings.sampling == "groups" and self.groups is not None:
            yield from balanced_batches(ids, self.groups.of_split(self.train_split), seed=seed, epoch=self.epoch,
                                        batch_size=self.batch_size, steps=self.steps_per_epoch)  # fmt: skip
        else:
            yield from ((rows, None) for rows in batches(epoch_order(ids, seed, self.epoch), self.batch_size))

    def _step(self, rows: Tensor, visits: Tensor | None = None) -> Tensor:
        clock = Clock(self.epoch, self.settings.epochs, self.counts.steps)
        views = StepViews(
            self.train_split, rows, len(self.dataset.classes), (self.pipeline,), self.settings.seed, clock, self.counts,
            visits, self.streams,
        )
        hook = self.model.register_forward_pre_hook(self._count_forward)
        for turn in range(self.strategy.turns):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self._half()):
                step = self.strategy(self.model, views, program=self.strategy.program(clock), turn=turn)
            self.optimizer.zero_grad(set_to_none=True)
            step.loss.backward()
            self.optimizer.step()
            self.counts.backward += 1
        hook.remove()
        self.counts.steps += 1
        return step.loss.detach()

    def _count_forward(self, *_: Any) -> None:
        self.counts.forward += 1

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
        tensors |= {f"optimizer.{k}": v for k, v in checkpoint.optimizer_tensors(self.optimizer).items()}
        tensors |= {f"selected.{k}": v for k, v in self.selection.weights.items()}
        state = {"selection": self.selection.state(), "epoch": self.epoch, "seconds": self.seconds, "counts": self.counts.dict(), "strategy": self.strategy.state_dict()}
        checkpoint.save_checkpoint(directory.path, tensors, state)

    def resume(self, directory: RunDirectory) -> list[dict[str, Any]]:
        """Take up the folder's checkpoint; the metrics of the epochs it holds. Without one, start from the beginning."""
        found = checkpoint.load_checkpoint(directory.path)
        if found is None:
            directory.write_metrics([])
            return []
        tensors, state = found
        self.model.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model.")})
        checkpoint.restore_optimizer(self.optimizer, {k[10:]: v for k, v in tensors.items() if k.startswith("optimizer.")})
        self.selection.load(state["selection"], {k[9:]: v for k, v in tensors.items() if k.startswith("selected.")})
        self.epoch, self.seconds = state["epoch"], state["seconds"]
        self.counts = Counts(**state["counts"])
        self.strategy.load_state_dict(state["strategy"])
        rows = [row for row in directory.metrics() if row["epoch"] <= self.epoch]
        directory.write_metrics(rows)
        return rows

    def _result(self, test: Evaluation, rows: list[dict[str, Any]], wall: float) -> dict[str, Any]:
        curve = [row["validation_accuracy"] for row in rows]
        return {
            "version": 1,
            "accuracy": test.accuracy, "accuracy_top5": test.accuracy_top5, "loss": test.loss,
            "best": max(curve), "median_last_10": statistics.median(curve[-10:]),
            "counts": self.counts.dict(),
            "seconds": {"training": round(self.seconds, 3), "wall": round(wall, 3)},
        }  # fmt: skip

    def _write_outcome(self, directory: RunDirectory, test: Evaluation) -> None:
        weights = {k: v.detach().cpu().contiguous() for k, v in self.model.state_dict().items()}
        checkpoint.write_atomically(directory.path / "model.safetensors", safetensors.torch.save(weights))
        packed = io.BytesIO()
        np.savez(
            packed, id=self.dataset.test.ids.numpy(), label=self.dataset.test.labels.numpy(),
            prediction=test.prediction.cpu().numpy(), confidence=test.confidence.cpu().numpy(),
            label_probability=test.label_probability.cpu().numpy(),
        )  # fmt: skip
        checkpoint.write_atomically(directory.path / "predictions.npz", packed.getvalue())


def begin_groups(settings: Settings, dataset: Dataset, strategy: Strategy, pipeline: Pipeline, streams: set[str]) -> Groups | None:
    """The data's groups, told to a strategy that wants them; InputError where what the settings ask for is not there."""
    missing = sorted(set(strategy.streams) - {"train"} - streams)
    if missing:
        raise InputError(f"--strategy {settings.strategy}: needs {missing[0]} images; `augury patch` makes them")
    begin = getattr(strategy, "begin", None)
    needed = begin is not None or settings.sampling == "groups" or settings.select == "worst_group"
    groups = groups_of(dataset) if needed or (dataset.train.groups is not None and bool((dataset.train.groups >= 0).all())) else None
    if groups is not None and settings.sampling == "groups":
        check_balanced(groups, settings.batch_size or 0)
    if begin is not None:
        if pipeline.mixes:
            raise InputError(f"--augment {settings.augment}: mixes images of several groups; leave the mix out for {settings.strategy}")
        begin(groups)
    Selection(settings.select, settings.patience, groups).check(dataset.validation)
    return groups


def make_model(settings: Settings, dataset: Dataset) -> nn.Module:
    """The network named in the settings, for the data set's classes and channels."""
    spec = parse_spec(settings.model, "--model")
    return build_model(spec, classes=len(dataset.classes), channels=dataset.train.images.shape[1])


def on_device(split: Split, device: torch.device) -> Split:
    groups = None if split.groups is None else split.groups.to(device)
    return Split(split.images.to(device), split.labels.to(device), split.ids.to(device), groups)


def pick_device(name: str) -> torch.device:
    """`auto` is a CUDA device where there is one; InputError for a device that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        raise InputError(f"--device {name}: not available here; use cpu, or leave it out") from None
    return device


def _cuda(device: torch.device) -> list[torch.device]:
    return [device] if device.type == "cuda" else []


def _epoch_seed(seed: int, epoch: int) -> int:
    bits = Noise.of(seed, torch.zeros(1, dtype=torch.int64), epoch=epoch).fold("network").bits(1)
    return int(bits) & (2**63 - 1)
