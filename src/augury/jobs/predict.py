"""`augury predict`: a finished run's predictions for images without labels."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
import torch

from augury.core.errors import InputError
from augury.jobs.runs import Run, open_run
from augury.train.data.decode import decode_each
from augury.train.data.images_alone import images_in
from augury.train.data.words import count, few

BATCH = 256


@dataclass(frozen=True)
class Prediction:
    """An image's path, the predicted class, or classes with `|` between them, the probability of that answer, and the
    probabilities of all classes in their order."""

    path: str
    name: str
    probability: float
    probabilities: tuple[float, ...]


def predict(
    run: Path, images: Sequence[Path], out: TextIO, *, network: int = 1, every_class: bool = False, device: str = "auto"
) -> list[str]:
    """Write CSV as images are read: path, class and probability, a line per readable image in the order of their paths.

    images: files, and folders of them at any depth. every_class: add a column for the probability of every class. network:
    the run's network, from 1. Returns notes on images that were converted or cannot be read. Raises InputError if there is no
    finished run, if there are no images, or if none can be read.
    """
    opened = open_run(run, device)
    if not 1 <= network <= len(opened.networks):
        raise InputError(f"--network {network}: the run has {count(len(opened.networks), 'network')}")
    files = images_in(images)
    writer, failed = csv.writer(out, lineterminator="\n"), dict[str, str]()
    classes = opened.identity.classes
    written = 0
    for found in _predicted(opened, files, network - 1, failed):
        if not written:
            writer.writerow(("path", "class", "probability", *(classes if every_class else ())))
        more = [f"{value:.6f}" for value in found.probabilities] if every_class else []
        writer.writerow((found.path, found.name, f"{found.probability:.6f}", *more))
        written += 1
    shown = [f"{name} ({reason})" for name, reason in failed.items()]
    if not written:
        raise InputError(f"IMAGES: none of {count(len(files), 'file')} can be read as an image, for example {few(shown, 1)}")
    return [f"skipped: {count(len(failed), 'file')} that cannot be read as images: {few(shown)}"] if failed else []


@torch.no_grad()
def _predicted(run: Run, files: list[tuple[Path, str]], network: int, failed: dict[str, str]) -> Iterator[Prediction]:
    classes, model = run.identity.classes, run.networks[network]
    for start in range(0, len(files), BATCH):
        part = files[start : start + BATCH]
        pixels, reasons = decode_each([path for path, _ in part], run.identity.preparation)
        failed |= {part[row][1]: reason for row, reason in sorted(reasons.items())}
        rows = sorted(pixels)
        if not rows:
            continue
        batch = torch.from_numpy(np.stack([pixels[row] for row in rows])).to(run.device)
        kind = run.identity.kind
        probabilities = kind.probability(model(run.normalize.normalise(batch)).float()).cpu()
        answers, confidence = kind.answer(probabilities)
        for row, answer, sure, values in zip(rows, answers, confidence.tolist(), probabilities.tolist(), strict=True):
            yield Prediction(part[row][1], kind.named(answer, classes), sure, tuple(values))
