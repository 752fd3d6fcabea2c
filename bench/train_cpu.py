"""The demo's training against a plain loop of torchvision's transforms and a DataLoader, with the same network.

    python bench/train_cpu.py --output FILE [--rounds N] [--epochs N] [--augment A,B]

Both train small_cnn on digits with the same batch size, optimiser and schedule on as many threads as PyTorch has. The plain
loop is the usual script: PIL images, a Compose of torchvision's transforms in the data set, a DataLoader (with its default of
no workers, which is faster here than two), zero_grad, backward, step. Ours runs without a folder, so that neither side
writes or evaluates. Rounds are interleaved, and the order within a round alternates.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from augury.jobs.environment import environment
from augury.train.data.dataset import Dataset, Split, load
from augury.train.engine.checkpoint import write_json
from augury.train.engine.prepare import prepare
from augury.train.engine.run import Trainer
from augury.train.engine.settings import Settings
from augury.train.models.build import build

# torchvision's counterpart of the demo's rows; cutout has none but erasing a fixed square, mixup is a collate step.
TRANSFORMS: dict[str, list[Any]] = {
    "none": [],
    "standard": [v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip()],
    "randaugment": [v2.RandAugment(2, 9)],
    "mixup": [],
}


class Pictures(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """PIL images and labels, transformed one by one."""

    def __init__(self, split: Split, transform: Any) -> None:
        self.images = [v2.functional.to_pil_image(image) for image in split.images]
        self.labels, self.transform = split.labels.tolist(), transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return self.transform(self.images[row]), self.labels[row]


def plain(dataset: Dataset, name: str, epochs: int) -> float:
    """Seconds of the plain loop's epochs after a first one that is not counted."""
    s = Settings("digits").resolved(len(dataset.train.ids))
    finish = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(list(dataset.mean), list(dataset.std))]
    transform = v2.Compose([*TRANSFORMS[name], *finish])
    model: nn.Module = build("small_cnn", classes=10, channels=1)
    optimizer = torch.optim.SGD(model.parameters(), s.lr, s.momentum, weight_decay=s.weight_decay, nesterov=True)
    loader = DataLoader(Pictures(dataset.train, transform), s.batch_size, shuffle=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, (epochs + 1) * len(loader))
    mix = v2.MixUp(num_classes=10) if name == "mixup" else None
    begun = 0.0
    for epoch in range(epochs + 1):
        begun = time.perf_counter() if epoch == 1 else begun
        for images, labels in loader:
            if mix is not None:
                images, labels = mix(images, labels)
            loss = nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return time.perf_counter() - begun


def ours(dataset: Dataset, name: str, epochs: int) -> float:
    """Seconds of the engine's steps, likewise."""
    trainer = Trainer(prepare(Settings("digits", augment=name, epochs=epochs + 1), dataset))
    begun = 0.0
    for epoch in range(epochs + 1):
        begun = time.perf_counter() if epoch == 1 else begun
        for _ in trainer.steps(trainer.open_epoch()):
            pass
        trainer.training.progress.epoch += 1
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--augment", default=",".join(TRANSFORMS))
    given = parser.parse_args()
    dataset, names = load("digits"), given.augment.split(",")
    seconds: dict[str, dict[str, list[float]]] = {name: {"augury": [], "plain": []} for name in names}
    for number in range(given.rounds):
        for name in names:
            order = [("augury", ours), ("plain", plain)]
            for side, run in order if number % 2 == 0 else reversed(order):
                seconds[name][side].append(run(dataset, name, given.epochs))
        print(f"round {number + 1} of {given.rounds}", file=sys.stderr, flush=True)
    images = given.epochs * len(dataset.train.ids)
    rows = []
    for name, sides in seconds.items():
        ratios = [p / a for a, p in zip(sides["augury"], sides["plain"], strict=True)]
        rate = {side: round(images / statistics.median(found), 1) for side, found in sides.items()}
        rows.append({"augment": name, "images_per_second": rate, "speed_up": {"median": round(statistics.median(ratios), 3),
                     "lowest": round(min(ratios), 3), "highest": round(max(ratios), 3)}, "seconds": sides})  # fmt: skip
        print(f"{name:12} augury {rate['augury']:8} plain {rate['plain']:8} images/s, {rows[-1]['speed_up']}", file=sys.stderr)
    write_json(given.output, {
        "version": 1, "command": " ".join(["python", *sys.argv]), "rounds": given.rounds, "epochs": given.epochs,
        "environment": environment("cpu"), "load": [round(value, 1) for value in os.getloadavg()], "rows": rows,
    })  # fmt: skip


if __name__ == "__main__":
    main()
