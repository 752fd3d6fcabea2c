"""Search spaces and data small enough for tests, importable from the processes that searches start."""

import os
from dataclasses import dataclass

import torch

from augury.augment.policies.file import PolicyEntry
from augury.core.noise import Noise
from augury.train.data.dataset import Dataset, Split
from augury.train.engine.settings import Settings
from augury.train.search.outcome import Decisions, Outcome
from augury.train.search.spaces import Candidate


def split(count: int, start: int, seed: int, inverted: bool) -> Split:
    """Two classes, a bright bar upright or lying; with `inverted`, every other image dark on bright."""
    place = torch.randint(1, 7, (count,), generator=torch.Generator().manual_seed(seed))
    labels = torch.arange(count) % 2
    images = torch.zeros(count, 1, 8, 8, dtype=torch.uint8)
    for row in range(count):
        if labels[row]:
            images[row, 0, :, place[row]] = 220
        else:
            images[row, 0, place[row], :] = 220
    if inverted:
        images[(torch.arange(count) // 2) % 2 == 1] ^= 255
    return Split(images, labels, torch.arange(start, start + count))


def bars(count: int = 32, *, inverted: bool = False) -> Dataset:
    """A data set of bars; with `inverted`, half of its validation images are inverted and none of the training images."""
    train, validation, test = split(count, 0, 0, False), split(count, count, 1, inverted), split(count, 2 * count, 2, inverted)
    return Dataset("bars", ("lying", "upright"), train, validation, test, (0.12,), (0.3,))


FAST = Settings("bars", model="small_cnn(width=4)", epochs=1, batch_size=8, lr=0.05, device="cpu")


@dataclass(frozen=True)
class Breaking:
    """Decisions name what a child does: work, raise, or end its process."""

    def uniform(self, noise: Noise, number: int) -> Decisions:
        return "work"

    def candidate(self, decisions: Decisions, dataset: Dataset, seed: int) -> Candidate:
        if decisions == "raise":
            raise ValueError("no such\nthing")
        if decisions == "die":
            os._exit(7)
        return Candidate(((PolicyEntry("flip"),),), files={"yaml": b"file"} if decisions == "file" else {})

    def words(self, decisions: Decisions) -> str:
        return str(decisions)


def outcome(number: int, accuracy: float | None, decisions: Decisions = None, arm: str = "found", **more: object) -> Outcome:
    return Outcome(arm, number, decisions, 0, accuracy, 1.0, **more)  # type: ignore[arg-type]
