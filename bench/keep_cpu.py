"""What keeping costs: a step with KeepAugment against the same step without it, measured in one run in interleaved rounds.

    python bench/keep_cpu.py --output results/keep_cost_cpu.json
    python bench/keep_cpu.py --device cuda --model resnet18 --output results/keep_cost_gpu.json

Every round takes each variant through the same number of optimiser steps, in turn, so that whatever else the machine
does meets all of them. On a CPU the ratios go by the processor's time of all threads and, beside it, by the wall clock.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import torch

from augury.jobs.environment import environment
from augury.train.data.dataset import load
from augury.train.engine.feed import Share
from augury.train.engine.prepare import prepare
from augury.train.engine.refinement import clock_at
from augury.train.engine.settings import Settings
from augury.train.engine.step import compute
from augury.train.engine.training import Training

VARIANTS = {
    "plain": "{plain}",
    "full": "{around}, saliency=full)",
    "low_resolution": "{around}, saliency=low_resolution)",
    "early_head": "{around}, saliency=early_head)",
    "full, every 4th step": "{around}, saliency=full, every=4)",
}
LIMITS = {
    "cpu": {"full": 2.0, "low_resolution": 1.35, "early_head": 1.35},
    "cuda": {"full": 1.75, "low_resolution": 1.2, "early_head": 1.12},
}


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    dataset = load(options.data)
    trainings = {name: _training(text, options, dataset) for name, text in VARIANTS.items()}
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in trainings}
    batches = {name: _Steps(training) for name, training in trainings.items()}
    for steps in batches.values():
        steps.run(4)
    for number in range(options.rounds):
        names = list(batches)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            seconds[name].append(batches[name].run(options.steps))
    kind = torch.device(options.device).type
    result = {
        "version": 1, "what": "seconds of optimiser steps with and without keeping, in interleaved rounds",
        "command": " ".join(["python bench/keep_cpu.py", *(f"--{k} {v}" for k, v in vars(options).items() if k != "output")]),
        "environment": environment(options.device), "threads": options.threads,
        "clock": "wall" if kind == "cuda" else "processor time of all threads; wall beside it",
        "batch": options.batch, "rounds": options.rounds, "steps_per_round": options.steps,
        "image_size": list(dataset.train.images.shape[1:]), "rows": _rows(seconds, options, kind),
    }  # fmt: skip
    text = json.dumps(result, indent=1)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")
    print(text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--plain", default="cutout")
    parser.add_argument("--output", type=Path)
    return parser.parse_args()


def _training(text: str, options: argparse.Namespace, dataset) -> Training:  # noqa: ANN001
    augment = text.format(plain=options.plain, around=f"keep({options.plain}")
    settings = Settings(
        options.data, augment=f"crop+flip+{augment}", model=options.model, batch_size=options.batch, device=options.device
    )  # fmt: skip
    return prepare(settings, dataset)


class _Steps:
    """Optimiser steps of one training, as many as asked for, going round in the data."""

    def __init__(self, training: Training) -> None:
        self.training = training
        self.rows = torch.arange(training.batch_size, device=training.device) % len(training.data.train.ids)

    def run(self, count: int) -> tuple[float, float]:
        """Seconds of a step: by the processor, by the wall clock."""
        training, cuda = self.training, self.training.device.type == "cuda"
        training.model.train()
        share = Share(self.rows, torch.zeros_like(self.rows), 1.0, len(self.rows))
        if cuda:
            torch.cuda.synchronize()
        own, wall = time.process_time(), time.perf_counter()
        for _ in range(count):
            clock = clock_at(training.settings, training.epoch, training.counts.steps)
            compute(training, share, {}, clock, training.strategy.program(clock))
            training.counts.steps += 1
        if cuda:
            torch.cuda.synchronize()
        return (time.process_time() - own) / count, (time.perf_counter() - wall) / count


def _rows(seconds: dict[str, list[tuple[float, float]]], options: argparse.Namespace, kind: str) -> list[dict]:
    rows = []
    for name, pairs in seconds.items():
        row: dict = {"variant": name, "augment": VARIANTS[name].format(plain=options.plain, around=f"keep({options.plain}")}
        for number, clock in enumerate(("processor", "wall")):
            ratios = [pair[number] / base[number] for pair, base in zip(pairs, seconds["plain"], strict=True)]
            row[clock] = {
                "milliseconds": round(1000 * statistics.median(pair[number] for pair in pairs), 3),
                "ratio": round(statistics.median(ratios), 3), "low": round(min(ratios), 3), "high": round(max(ratios), 3),
                "n": len(ratios),
            }  # fmt: skip
        row["limit"] = LIMITS.get(kind, {}).get(name)
        rows.append(row)
    return rows


if __name__ == "__main__":
    main()
