"""What a training step of strategies with several passes costs, in units of plain training: `python bench/strategies_cpu.py`.

Whole steps of the training engine (draw, augment, forward, loss, backward, update) on one thread, in interleaved rounds, so
that a machine that slows down slows all of them down; a ratio is taken within a round, to the steps of another row in it.
Seconds are the process's own. Exits with 1 where a strategy's median ratio is above its bound.
"""

import argparse
import json
import shlex
import statistics
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from augury.explain.throughput.workloads import CLASSES, Size, images_for, labels_for
from augury.jobs.environment import environment
from augury.train.data.dataset import Dataset, Split
from augury.train.data.dataset import statistics as channel_statistics
from augury.train.engine.prepare import prepare
from augury.train.engine.run import Trainer
from augury.train.engine.settings import Settings
from augury.train.engine.training import Training


@dataclass(frozen=True)
class Case:
    """What is measured. bound: the most that its step may cost in units of the row `to` (None: measured, not promised)."""

    strategy: str
    bound: float | None = None
    augment: str = "crop+flip"
    to: str = "erm"


REPEATED = "batch_augment(8)+crop+flip+randaugment"
CASES = {
    "erm": Case("erm"),
    "ait": Case("ait", 2.05),
    "multi_ait": Case("multi_ait", 1.05 * 2),
    "multi_ait(networks=3)": Case("multi_ait(networks=3)", 1.05 * 3),
    "dml": Case("dml", 1.05 * 2),
    "augmix_jsd": Case("augmix_jsd"),
    "uncertainty": Case("uncertainty", 2.5),
    REPEATED: Case("erm", augment=REPEATED),
    "adversarial_autoaugment": Case("adversarial_autoaugment", 1.1, to=REPEATED),
}


@dataclass(frozen=True)
class Row:
    """ratio: to the row `to`, the median over the rounds; low, high: the lowest, the highest; seconds: of a step, the median."""

    strategy: str
    ratio: float
    low: float
    high: float
    bound: float | None
    to: str
    seconds: float
    forward: float
    backward: float


def images(count: int) -> Dataset:
    """`count` windows of photographs, 32x32, for training, and two for validation."""
    pictures = images_for(Size(32, count + 2))
    labels = labels_for(count + 2)

    def part(rows: slice) -> Split:
        return Split(pictures[rows], labels[rows], torch.arange(count + 2)[rows])

    held = part(slice(count, None))
    names = tuple(map(str, range(CLASSES)))
    return Dataset("photographs", names, part(slice(count)), held, held, *channel_statistics(pictures))


def measured(model: str, batch: int, steps: int, rounds: int) -> list[Row]:
    dataset = images(batch * steps)
    settings = Settings("photographs", augment="crop+flip", model=model, epochs=10**6, batch_size=batch, device="cpu", lr=0.01)
    trainers = {
        name: Trainer(prepare(Settings(**settings.dict() | {"strategy": case.strategy, "augment": case.augment}), dataset))
        for name, case in CASES.items()
    }
    spent: dict[str, list[float]] = {name: [] for name in trainers}
    for number in range(rounds + 1):
        for name, trainer in trainers.items():
            before = trainer.training.progress.device_seconds
            trainer.train_epoch()
            # The first round compiles, allocates and warms caches.
            if number:
                spent[name].append(trainer.training.progress.device_seconds - before)
    return [_row(name, spent, trainer.training, steps) for name, trainer in trainers.items()]


def _row(name: str, spent: dict[str, list[float]], training: Training, steps: int) -> Row:
    ratios = [mine / plain for mine, plain in zip(spent[name], spent[CASES[name].to], strict=True)]
    counts = training.counts
    return Row(
        name, statistics.median(ratios), min(ratios), max(ratios), CASES[name].bound, CASES[name].to,
        statistics.median(spent[name]) / steps,
        counts.forward / counts.steps, counts.backward / counts.steps,
    )  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=1, help="steps of every strategy in a round")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", type=Path, help="file for the result as JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = measured(options.model, options.batch_size, options.steps, options.rounds)
    late = [row.strategy for row in rows if row.bound is not None and row.ratio > row.bound]
    print(f"{'strategy':40}{'ratio':>7}{'lowest':>8}{'highest':>9}{'bound':>7}{'ms/step':>9}  passes forward, backward")
    for row in rows:
        bound = "" if row.bound is None else f"{row.bound:.2f}"
        print(
            f"{row.strategy:40}{row.ratio:7.3f}{row.low:8.3f}{row.high:9.3f}{bound:>7}{1000 * row.seconds:9.0f}"
            f"  {row.forward:g}, {row.backward:g}"
        )
    if options.output:
        result = {
            "version": 1, "command": shlex.join(["python", *sys.argv]), "model": options.model,
            "batch_size": options.batch_size, "rounds": options.rounds, "seed": 0, "clock": "process time, one thread",
            "rows": [asdict(row) for row in rows], "environment": environment(),
        }  # fmt: skip
        options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if late:
        print(f"above its bound: {', '.join(late)}", file=sys.stderr)
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
