"""A step of a user's loop with `augury.method` against the same step of Augury's own trainer, in processor time.

    python bench/method_cpu.py --output FILE [--steps N] [--strategies A,B]

Both train the same network on the same batches with the same optimiser, on one thread. Steps of the two are interleaved, and the
order alternates. The loop's step is what users write: the method's call, backward, update. Pairs of steps are compared, since a
shared machine's speed changes from second to second; the overhead is the median ratio less one, with its 95 % interval from
resampled pairs.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import augury
from augury.jobs.environment import environment
from augury.train.data.dataset import Dataset, Split, load
from augury.train.engine.checkpoint import write_json
from augury.train.engine.prepare import prepare
from augury.train.engine.run import Trainer
from augury.train.engine.settings import Settings
from augury.train.engine.update import make_optimizer

ROWS = {"digits": "digits, 32x32 grey", "photographs": "noise, 32x32 colour"}


def data(kind: str) -> Dataset:
    """Digits, or images of CIFAR's size."""
    found = load("digits")
    if kind == "digits":
        return found
    images = torch.randint(0, 256, (1024, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    rows = torch.arange(len(images))
    colour = ((0.5,) * 3, (0.25,) * 3)
    return replace(found, train=Split(images, rows % 10, rows), mean=colour[0], std=colour[1])


def measured(kind: str, strategy: str, steps: int) -> dict[str, Any]:
    """Processor seconds of each pair of steps."""
    dataset = data(kind)
    settings = Settings(
        "digits", augment="crop+flip+cutout", strategy=strategy, epochs=1000, batch_size=64, device="cpu", precision="float32"
    )
    trainer = Trainer(prepare(settings, dataset))
    resolved = settings.resolved(len(dataset.train.ids))
    torch.manual_seed(0)
    channels = dataset.train.images.shape[1]
    model = augury.model(resolved.model, classes=10, channels=channels).to(memory_format=torch.channels_last)
    method = augury.method(model, augment="crop+flip+cutout", strategy=strategy, classes=10, mean=dataset.mean, std=dataset.std)
    optimizer = make_optimizer(resolved, list(method.parameters()))
    train, pairs, epoch = dataset.train, [], 0
    assert isinstance(train.images, torch.Tensor)
    while len(pairs) < steps + 5:
        tally = trainer.open_epoch()
        own = trainer.steps(tally)
        method.start_epoch(epoch, 1000)
        epoch += 1
        for rows in [share.rows for share in trainer.shares()]:

            def step(rows: torch.Tensor = rows) -> None:
                images, labels, ids = train.images[rows], train.labels[rows], train.ids[rows]  # type: ignore[index]
                optimizer.zero_grad()
                loss = method(images, labels, ids=ids).loss
                loss.backward()
                optimizer.step()
                loss.item()  # as the trainer, which looks at every loss

            both: list[Callable[[], Any]] = [own.__next__, step]
            spent = [0.0, 0.0]
            for which in (0, 1) if len(pairs) % 2 else (1, 0):
                begun = time.process_time()
                both[which]()
                spent[which] = time.process_time() - begun
            pairs.append(spent)
    ratios = [loop / own_step for own_step, loop in pairs[5:]]
    draws = random.Random(0)
    medians = sorted(statistics.median(draws.choices(ratios, k=len(ratios))) for _ in range(1000))
    return {
        "data": ROWS[kind], "strategy": strategy, "pairs": len(ratios),
        "step_ms": round(1000 * statistics.median(own_step for own_step, _ in pairs[5:]), 2),
        "overhead_percent": round(100 * (statistics.median(ratios) - 1), 2),
        "interval_percent": [round(100 * (medians[k] - 1), 2) for k in (25, 974)],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--strategies", default="erm,ait")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for kind in ROWS:
        for strategy in given.strategies.split(","):
            rows.append(measured(kind, strategy, given.steps))
            print(rows[-1], flush=True)
    command = f"python bench/method_cpu.py --output {given.output.name} --steps {given.steps} --strategies {given.strategies}"
    write_json(given.output, {"version": 1, "command": command, "environment": environment("cpu"), "rows": rows})


if __name__ == "__main__":
    main()
