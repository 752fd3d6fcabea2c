"""Streaming of image files: what a training reads per second, against decoding alone with the same workers.

    python bench/streaming.py --output FILE [--side N] [--images N] [--workers N] [--rounds N]

Writes JPEG files of natural-looking noise into a temporary folder. "decode" draws the batches and drops them; "train" augments
them and takes a step of a network that is small enough not to be what is waited for. Rounds are interleaved.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from augury.jobs.environment import environment
from augury.train.data.stream import FileImages
from augury.train.engine.checkpoint import write_json
from augury.train.engine.prepare import prepare
from augury.train.engine.run import Trainer
from augury.train.engine.settings import Settings
from augury.train.engine.source import load_for


def write_files(root: Path, images: int, side: int) -> None:
    """Two classes of smooth noise, as compressible as photographs, in train/ and a few in test/."""
    random = np.random.default_rng(0)
    for part, count in (("train", images), ("test", 8)):
        for label in ("a", "b"):
            (root / part / label).mkdir(parents=True)
        for number in range(count):
            coarse = random.integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8)
            picture = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
            grain = random.integers(-6, 7, (side, side, 3))
            pixels = np.clip(np.asarray(picture).astype(int) + grain, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / part / "ab"[number % 2] / f"{number}.jpg", quality=90)


def rate(steps: Iterator[int]) -> float:
    """Images per second after the first batch, which starts the workers."""
    next(steps)
    begun, images = time.perf_counter(), 0
    for count in steps:
        images += count
    return images / (time.perf_counter() - begun)


def decoding(trainer: Trainer) -> Iterator[int]:
    training = trainer.training
    files = training.data.train.images
    assert isinstance(files, FileImages)
    for batch in files.batches([share.rows for share in trainer.shares()], workers=training.settings.decode_workers):
        yield len(batch)


def training_steps(trainer: Trainer) -> Iterator[int]:
    tally, before = trainer.open_epoch(), 0
    for _ in trainer.steps(tally):
        yield tally.images - before
        before = tally.images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), given.images, given.side)
        settings = Settings(
            folder, augment="crop+flip+randaugment", model="small_cnn(width=4, stem_stride=4)", batch_size=32, stream="yes",
            decode_workers=given.workers, image_size=given.image_size, device=given.device,
        )  # fmt: skip
        dataset = load_for(settings)
        trainer = Trainer(prepare(settings, dataset))
        found: dict[str, list[float]] = {"decode": [], "train": []}
        torch.set_num_threads(1)
        for number in range(given.rounds):
            for name, run in [("decode", decoding), ("train", training_steps)][:: 1 if number % 2 == 0 else -1]:
                found[name].append(rate(run(trainer)))
            print({name: round(values[-1], 1) for name, values in found.items()}, file=sys.stderr, flush=True)
    ratios = [t / d for d, t in zip(found["decode"], found["train"], strict=True)]
    write_json(given.output, {
        "version": 1, "command": " ".join(["python", *sys.argv]), "environment": environment("cpu"),
        "load": [round(value, 1) for value in os.getloadavg()], "settings": replace(settings, data="generated").dict(),
        "side": given.side, "images": given.images, "images_per_second": {n: statistics.median(v) for n, v in found.items()},
        "train_over_decode": {"median": round(statistics.median(ratios), 3), "lowest": round(min(ratios), 3),
                              "highest": round(max(ratios), 3)}, "rounds": found,
    })  # fmt: skip


if __name__ == "__main__":
    main()
