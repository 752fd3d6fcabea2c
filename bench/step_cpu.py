"""A training step on a CPU: float32, bfloat16, bfloat16 with compiled normalisation, and what PyTorch's compiler makes of it.

    python bench/step_cpu.py --data-dir D --output results/step_cpu.json [--rounds N] [--compile]

Steps of Augury's own trainer on CIFAR-10, crop and flip, on one thread, in processor time. Rounds are interleaved, since a shared
machine's speed changes from second to second. `feed` is the share of a step that making the batch takes: reading, augmenting,
normalising, by itself. Freed memory is kept, as `augury train` does. With --compile, the
network alone is compiled by torch.compile, in both directions; the seconds of its first step are the price.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F  # noqa: N812

from augury.core.memory import prepare_for_training
from augury.jobs.environment import environment
from augury.train.data.dataset import Dataset
from augury.train.engine.checkpoint import write_json
from augury.train.engine.prepare import prepare
from augury.train.engine.run import Trainer
from augury.train.engine.settings import Settings
from augury.train.engine.source import load_for
from augury.train.engine.step import views
from augury.train.models import norm_relu
from augury.train.models.build import build

BATCH, STEPS = 128, 1


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    prepare_for_training()
    settings = Settings(
        "cifar10",
        data_dir=options.data_dir,
        model=options.model,
        augment="crop+flip",
        batch_size=BATCH,
        fraction=0.08,
        device="cpu",
    )
    dataset = load_for(settings)
    variants = {
        "float32": stepper(settings, dataset, "float32"),
        "bfloat16, PyTorch's normalisation": plain(stepper(settings, dataset, "bfloat16")),
        "bfloat16": stepper(settings, dataset, "bfloat16"),
    }
    price = None
    if options.compile:
        bare, compiled = network(options.model, compiled=False), network(options.model, compiled=True)
        begun = time.process_time(), time.perf_counter()
        compiled()
        price = {"processor": round(time.process_time() - begun[0], 1), "wall": round(time.perf_counter() - begun[1], 1)}
        variants |= {"network alone, bfloat16": bare, "network alone, bfloat16, torch.compile": compiled}
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(options.rounds + 1):
        for name, step in variants.items():
            took = timed(step)
            if number:  # the first compiles kernels and fills caches
                seconds[name].append(took)
    making = [timed(feed(settings, dataset)) for _ in range(options.rounds)]
    rates = {name: BATCH * STEPS / statistics.median(took) for name, took in seconds.items()}
    result = {
        "version": 1, "what": "images per second of a training step on one thread of a CPU", "batch": BATCH, "model": options.model,
        "command": f"python bench/step_cpu.py --data-dir D --rounds {options.rounds}{' --compile' * options.compile} --output FILE",
        "rows": [{"name": name, "images_per_second": round(rate, 1), "seconds": seconds[name]} for name, rate in rates.items()],
        "feed_share": round(statistics.median(making) / statistics.median(seconds["bfloat16"]), 4),
        "compile_seconds": price, "environment": environment("cpu"),
    }  # fmt: skip
    write_json(options.output, result)
    for name, rate in rates.items():
        print(f"{name:45} {rate:7.0f} images/s")
    print(f"feed {100 * result['feed_share']:.1f} % of a bfloat16 step; compiled in {price}")


def stepper(settings: Settings, dataset: Dataset, precision: Any) -> Callable[[], None]:
    """A step of the trainer in that precision; epochs follow one another."""
    trainer = Trainer(prepare(Settings.of({**settings.dict(), "precision": precision}, "bench"), dataset))
    trainer.begin(None)
    steps = iter(())

    def step() -> None:
        nonlocal steps
        if next(steps, steps) is steps:
            steps = trainer.steps(trainer.open_epoch())
            next(steps)

    return step


def plain(step: Callable[[], None]) -> Callable[[], None]:
    """The step with PyTorch's own batch normalisation and ReLU."""

    def changed() -> None:
        with patch.object(norm_relu, "is_compiled", lambda *_: False):
            step()

    return changed


def network(model: str, *, compiled: bool) -> Callable[[], None]:
    """A pass there and back of the network alone, and its update."""
    made = build(model, classes=10, channels=3).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(made.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    images = torch.randn(BATCH, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    labels, run = torch.randint(10, (BATCH,)), torch.compile(made) if compiled else made

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16):
            loss = F.cross_entropy(run(images).float(), labels)
        loss.backward()
        optimizer.step()

    return step


def feed(settings: Settings, dataset: Dataset) -> Callable[[], None]:
    """Making a batch, without what the network does with it."""
    training = prepare(settings, dataset)
    trainer = Trainer(training)
    share = next(trainer.shares())
    return lambda: views(training, share, training.method.clock, {})() and None


def timed(step: Callable[[], None]) -> float:
    begun = time.process_time()
    for _ in range(STEPS):
        step()
    return time.process_time() - begun


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--compile", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
