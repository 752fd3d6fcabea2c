"""The cost of a training step, and which of its parts is the bottleneck."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import torch

from augury.core.options import Interval
from augury.core.registry import register
from augury.explain.measurements.measurement import Figure, Measured, Subject, Table, TableRow, groups_of
from augury.explain.measurements.sets import some
from augury.explain.report.diagrams import dot_panel
from augury.train.data.dataset import Dataset
from augury.train.engine.prepare import prepare
from augury.train.engine.run import Trainer
from augury.train.engine.training import Training

PARTS = ("decoding", "augmentation", "saliency", "forward", "backward", "update")


@register("measurement", "cost", source="Augury's own")
def cost(
    subjects: Sequence[Subject],
    dataset: Dataset,
    *,
    steps: Annotated[int, Interval(1, 1000)] = 2,
    rounds: Annotated[int, Interval(1, 1000)] = 5,
) -> Measured:
    """Images per second of each training run, and the share of a step that each of its parts takes.

    Rebuilds each run from its settings with a new network and times `steps` steps of it in `rounds` rounds, interleaved with the
    other runs, after one warm-up round. Wall-clock times, synchronising with the device after every part, which loses some
    overlap on a GPU. Decoding is 0: Augury decodes images once and holds them in memory.
    """
    clocks = {group: _prepared(members[0], dataset, steps) for group, members in groups_of(subjects).items()}
    found: dict[str, list[dict[str, float]]] = {group: [] for group in clocks}
    for number in range(rounds + 1):
        for group, clock in clocks.items():
            seconds = clock.epoch()
            if number:
                found[group].append(seconds)
    medians = {group: {part: statistics.median(r[part] for r in each) / steps for part in PARTS} for group, each in found.items()}
    speed = {group: clocks[group].images / steps / max(sum(parts.values()), 1e-9) for group, parts in medians.items()}
    shares = {group: {p: 100 * s / max(sum(parts.values()), 1e-9) for p, s in parts.items()} for group, parts in medians.items()}
    rows: list[TableRow] = [(group, speed[group], 1000 * sum(medians[group].values()), *shares[group].values()) for group in clocks]
    device = str(subjects[0].device)
    note = f"Medians of {rounds} interleaved rounds of {steps} steps on {device}; shares in percent."
    panel = dot_panel("Share of a step, %", PARTS, {g: [[by[p]] for p in PARTS] for g, by in shares.items()})
    values = {
        "device": device, "threads": torch.get_num_threads(), "rounds": rounds, "steps": steps,
        "rows": [
            {"trained": g, "images_per_second": speed[g], "milliseconds": {p: 1000 * s for p, s in medians[g].items()},
             "shares": shares[g], "bottleneck": _bottleneck(shares[g]), "advice": advice(shares[g], device)}
            for g in clocks
        ],
    }  # fmt: skip
    table = Table("Speed", ("trained with", "images/s", "ms per step", *(f"{p}, %" for p in PARTS)), tuple(rows), note, digits=1)
    said = [
        f"{g}: {speed[g]:,.0f} source images per second; the bottleneck is {_bottleneck(shares[g])}. {advice(shares[g], device)}"
        for g in clocks
    ]
    return Measured(" ".join(said), values, (table,), (Figure("Where a step's time goes", panel, note),))


def advice(shares: dict[str, float], device: str) -> str:
    """Advice based on the shares, in percent of a step."""
    augmenting = shares["augmentation"]
    if shares["saliency"] >= 20:
        return f"Saliency takes {shares['saliency']:.0f} %: saliency=low_resolution or a larger `every` saves most of it."
    if device.startswith("cuda"):
        return f"Augmentation already runs on the GPU and takes {augmenting:.0f} %."
    if augmenting < 10:
        return f"Augmentation takes {augmenting:.0f} % of a step here; moving it elsewhere would gain no more than that."
    gain = 100 / (100 - augmenting)
    said = f"Augmentation takes {augmenting:.0f} %: without it a step would be {gain:.1f} times as fast."
    return f"{said} If you have a GPU, train on it: Augury augments on the batch's device."


def _bottleneck(shares: dict[str, float]) -> str:
    return max(shares, key=lambda part: shares[part])


@dataclass
class _Clock:
    """A training run whose parts are timed. `images`: source images per epoch."""

    trainer: Trainer
    images: int
    spent: dict[str, float] = field(default_factory=dict)

    def timed(self, part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: object, **named: object) -> Any:
            started = self.now()
            made = call(*given, **named)
            self.spent[part] = self.spent.get(part, 0.0) + self.now() - started
            return made

        return run

    @property
    def training(self) -> Training:
        return self.trainer.training

    def now(self) -> float:
        if self.training.device.type == "cuda":
            torch.cuda.synchronize(self.training.device)
        return time.perf_counter()

    def epoch(self) -> dict[str, float]:
        """Seconds of each part in one epoch, excluding the other parts that it calls."""
        self.spent, before = {}, self.training.progress.seconds
        with torch.random.fork_rng(devices=[self.training.device] if self.training.device.type == "cuda" else []):
            self.trainer.train_epoch()
        total = self.training.progress.seconds - before
        whole = {key: self.spent.get(key, 0.0) for key in ("saliency", "pipeline", "strategy", "update")}
        augmentation = whole["pipeline"] - whole["saliency"]
        forward = whole["strategy"] - whole["pipeline"]
        backward = total - whole["strategy"] - whole["update"]
        parts = (0.0, augmentation, whole["saliency"], forward, backward, whole["update"])
        return dict(zip(PARTS, (max(0.0, seconds) for seconds in parts), strict=True))


class _Timed:
    """A proxy that times calls to an object and to its method `run`; other attributes are the object's."""

    def __init__(self, inner: Any, clock: _Clock, part: str) -> None:
        self._inner, self._call = inner, clock.timed(part, inner)
        if hasattr(inner, "run"):
            self.run = clock.timed(part, inner.run)

    def __call__(self, *given: Any, **named: Any) -> Any:
        return self._call(*given, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _prepared(subject: Subject, dataset: Dataset, steps: int) -> _Clock:
    settings = subject.settings.resolved(len(dataset.train.ids))
    count = min(len(dataset.train.ids), steps * (settings.batch_size or 1))
    few = replace(dataset, train=some(dataset.train, count, 0), validation=some(dataset.validation, 2, 0))
    settings = replace(
        settings, epochs=10**6, labels=None, labels_per_class=None, device=str(subject.device), select="last", patience=None
    )
    training = prepare(settings, few)
    clock = _Clock(Trainer(training), count)
    if training.method.saliency is not None:
        timed: Any = _Timed(training.method.saliency.source, clock, "saliency")
        training.method.saliency = replace(training.method.saliency, source=timed)
    pipelines: tuple[Any, ...] = tuple(_Timed(p, clock, "pipeline") for p in training.method.pipelines)
    training.method.pipelines = pipelines
    strategy: Any = _Timed(training.strategy, clock, "strategy")
    training.method.strategy = strategy
    step = training.optimizer.step
    training.optimizer.step = clock.timed("update", step)  # type: ignore[method-assign]
    return clock
