"""What a recommendation will do with its time: image size, network, epochs, candidates, rounds and seeds."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from augury.core.errors import InputError
from augury.jobs.estimate import images_per_second
from augury.train.data.dataset import Dataset
from augury.train.data.default_side import SIDES
from augury.train.engine.settings import Settings
from augury.train.engine.setup import pick_device
from augury.train.pools.processes import threads_as_in

# Rounds of the race: shares of the final epochs, rounds on each, and the share of the candidates there is time for.
RUNGS = ((0.25, 2, 1.0), (0.5, 2, 0.5), (1.0, 2, 0.25))
SEEDS, FEWEST_SEEDS, MOST_SEEDS = 3, 2, 10
FEWEST_CANDIDATES, IMAGES_PER_CLASS = 4, 20
EPOCHS, MOST_EPOCHS, STEPS = 20, 100, 600
# Of the time: what is left for reports, and for trainings that take longer than was measured.
RESERVE = 0.05
# What a candidate's training costs on average, compared with the reference's.
AVERAGE_COST = 1.3


@dataclass(frozen=True)
class Rung:
    """Trainings of so many epochs, in so many rounds, of at most so many candidates."""

    epochs: int
    rounds: int
    candidates: int


@dataclass(frozen=True)
class Plan:
    """epochs, seeds: of the final trainings. images: of the training and validation part that are used. images_per_second: as
    measured of the reference, for this size and network.
    validation: the share of the training images that each round of the race is judged on. seconds: the estimate of it all. workers:
    how many train at a time, each at that rate."""

    image_size: tuple[int, ...]
    model: str
    epochs: int
    images: int
    candidates: int
    rungs: tuple[Rung, ...]
    seeds: int
    validation: float
    images_per_second: float
    seconds: float
    workers: int = 1

    def dict(self) -> dict[str, Any]:
        """For result.json and plan.json."""
        return asdict(self)

    @property
    def final_seconds(self) -> float:
        """What the final trainings take with the planned seeds, at least three."""
        return turns(2 * SEEDS, self.workers) * AVERAGE_COST * self.epochs * self.images / self.images_per_second

    @staticmethod
    def of(values: Mapping[str, Any]) -> "Plan":
        """From `dict`."""
        rungs = tuple(Rung(**rung) for rung in values["rungs"])
        return Plan(**{**values, "rungs": rungs, "image_size": tuple(values["image_size"])})

    def words(self) -> str:
        """What will be done, before it is."""
        rungs = "; ".join(f"{r.candidates} for {r.epochs} epochs in {r.rounds} rounds" for r in self.rungs)
        size = "x".join(map(str, self.image_size))
        speed = f"{self.images_per_second:,.0f} images/s" + (f" in each of {self.workers} processes" if self.workers > 1 else "")
        return (
            f"{self.model} on {self.images:,} images of {size} pixels, {speed}; {self.candidates} candidates race ({rungs}; one "
            "that is shown to be worse is dropped earlier), then the best one and the reference train for "
            f"{self.epochs} epochs with {self.seeds} seeds or more; about {self.seconds / 60:.1f} minutes"
        )


def probe(settings: Settings, dataset: Dataset, seconds: float, model: str | None, workers: int = 1) -> dict[str, float]:
    """Images a second of each network that may be chosen, at the data's size as they are now, within a share of the time; on the
    threads that each of `workers` has.

    The larger ones are tried only where the smallest leaves time for them.
    """
    device = pick_device(settings.device)
    networks = [model] if model else ["small_cnn", "resnet20", *(["preact_resnet18"] if device.type == "cuda" else [])]
    rates: dict[str, float] = {}
    for name in networks:
        with threads_as_in(workers):
            rates[name] = images_per_second(replace(settings, model=name), dataset, seconds / 10)
        if epochs_in(seconds, _images(dataset), rates[name] / 2, FEWEST_CANDIDATES, workers) < EPOCHS:
            break
    return rates


def plan_of(
    settings: Settings, dataset: Dataset, seconds: float, rates: Mapping[str, float], *, candidates: int, epochs: int | None,
    side: tuple[int, ...] | None, native: int, workers: int = 1,
) -> Plan:  # fmt: skip
    """The largest images, the better network and the most epochs that the time allows, so that trainings come to an end.

    dataset: at any size, that of `rates`, which `probe` gives. epochs, side: as the user decided. native: the images' own shorter
    side, above which nothing is enlarged. workers: how many train at a time. Raises InputError if the time does not suffice for
    anything sensible.
    """
    images = _images(dataset)
    batch = settings.resolved(images).batch_size or 1
    wanted = epochs or min(MOST_EPOCHS, max(EPOCHS, math.ceil(STEPS * batch / images)))
    sizes = [side] if side else [(s, s) for s in SIDES if s <= max(native, SIDES[-1])]
    choice = (sizes[-1], next(iter(rates)), 0.0)
    for size in sizes:
        for name in reversed([*rates]):
            if name == "resnet20" and min(size) > 64:
                continue  # made for small images: its maps stay large, and it is slow on others
            choice = (size, name, rates[name] * _pixels(dataset) / math.prod(_two(size)))
            if epochs_in(seconds, images, choice[2], candidates, workers) >= wanted:
                return _plan(choice, wanted, images, candidates, seconds, workers)
    return _reduced(choice, wanted, dataset, candidates, seconds, epochs, workers)


def _reduced(
    choice: tuple[tuple[int, ...], str, float], wanted: int, dataset: Dataset, candidates: int, seconds: float, epochs: int | None,
    workers: int,
) -> Plan:  # fmt: skip
    """The smallest images and network with fewer epochs, then fewer candidates, then fewer images; InputError if even that takes
    longer than there is time."""
    images, rate, fewest = _images(dataset), choice[2], epochs or min(wanted, EPOCHS // 2)
    smallest = min(images, math.ceil(IMAGES_PER_CLASS * len(dataset.classes) * images / len(dataset.train.ids)))
    counts = sorted({candidates, *(n for n in (8, FEWEST_CANDIDATES) if n < candidates)}, reverse=True)
    for count in counts:
        possible = epochs_in(seconds, images, rate, count, workers)
        if possible >= fewest:
            return _plan(choice, min(wanted, int(possible)), images, count, seconds, workers)
    affordable = int(images * possible / fewest)
    if affordable >= smallest:
        return _plan(choice, fewest, affordable, counts[-1], seconds, workers)
    minutes = seconds / 60 * smallest / max(1, affordable)
    enough = math.ceil(11 * minutes) / 10
    raise InputError(f"--minutes: too few on this machine ({rate:,.0f} images/s); give about {enough:g} or more")


def epochs_in(seconds: float, images: int, rate: float, candidates: int, workers: int = 1) -> float:
    """Epochs of the final trainings for which all of it takes that time."""
    return seconds * (1 - RESERVE) * rate / images / work(candidates, workers)


def work(candidates: int, workers: int = 1) -> float:
    """How long race and final trainings take together: so many times a final training of the reference."""
    race = sum(share * rounds * turns(max(2, math.ceil(candidates * part)), workers) for share, rounds, part in RUNGS)
    return AVERAGE_COST * (race + turns(2 * SEEDS, workers))


def turns(trainings: int, workers: int) -> int:
    """How often the workers all train, one training each, until so many are trained."""
    return math.ceil(trainings / workers)


def rungs_of(epochs: int, candidates: int) -> tuple[Rung, ...]:
    """The race of so many candidates, whose final trainings have so many epochs."""
    return tuple(Rung(max(1, round(epochs * share)), rounds, max(2, math.ceil(candidates * part))) for share, rounds, part in RUNGS)


def held_out(images: int) -> float:
    """The share of the training images that each round of the race is judged on."""
    return max(0.1, min(0.3, 500 / images))


def _plan(
    choice: tuple[tuple[int, ...], str, float], epochs: int, images: int, candidates: int, seconds: float, workers: int
) -> Plan:  # fmt: skip
    size, name, rate = choice
    one = AVERAGE_COST * images * epochs / rate
    least = turns(2 * SEEDS, workers)
    race = work(candidates, workers) * epochs * images / rate - least * one
    most = max(least, int((seconds * (1 - RESERVE) - race) / one))
    seeds = max(SEEDS, min(MOST_SEEDS, most * workers // 2))
    return Plan(
        _two(size), name, epochs, images, candidates, rungs_of(epochs, candidates), seeds, round(held_out(images), 4),
        round(rate, 1), round(race + turns(2 * seeds, workers) * one, 1), workers,
    )  # fmt: skip


def _images(dataset: Dataset) -> int:
    return len(dataset.train.ids) + len(dataset.validation.ids)


def _pixels(dataset: Dataset) -> int:
    return int(math.prod(dataset.train.images.shape[-2:]))


def _two(size: tuple[int, ...]) -> tuple[int, int]:
    return (size[0], size[-1])
