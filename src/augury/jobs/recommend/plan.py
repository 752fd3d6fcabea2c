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
    validation: the share of the training images that each round of the race is judged on. seconds: the estimate of it all."""

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

    def dict(self) -> dict[str, Any]:
        """For result.json and plan.json."""
        return asdict(self)

    @property
    def final_seconds(self) -> float:
        """What the final trainings take with the planned seeds, at least three."""
        return 2 * SEEDS * AVERAGE_COST * self.epochs * self.images / self.images_per_second

    @staticmethod
    def of(values: Mapping[str, Any]) -> "Plan":
        """From `dict`."""
        rungs = tuple(Rung(**rung) for rung in values["rungs"])
        return Plan(**{**values, "rungs": rungs, "image_size": tuple(values["image_size"])})

    def words(self) -> str:
        """What will be done, before it is."""
        rungs = "; ".join(f"{r.candidates} for {r.epochs} epochs in {r.rounds} rounds" for r in self.rungs)
        size = "x".join(map(str, self.image_size))
        speed = f"{self.images_per_second:,.0f} images/s"
        return (
            f"{self.model} on {self.images:,} images of {size} pixels, {speed}; {self.candidates} candidates race ({rungs}; one "
            "that is shown to be worse is dropped earlier), then the best one and the reference train for "
            f"{self.epochs} epochs with {self.seeds} seeds or more; about {self.seconds / 60:.1f} minutes"
        )


def probe(settings: Settings, dataset: Dataset, seconds: float, model: str | None) -> dict[str, float]:
    """Images a second of each network that may be chosen, at the data's size as they are now, within a share of the time.

    The larger ones are tried only where the smallest leaves time for them.
    """
    device = pick_device(settings.device)
    networks = [model] if model else ["small_cnn", "resnet20", *(["preact_resnet18"] if device.type == "cuda" else [])]
    rates: dict[str, float] = {}
    for name in networks:
        rates[name] = images_per_second(replace(settings, model=name), dataset, seconds / 10)
        if epochs_in(seconds, _images(dataset), rates[name] / 2, FEWEST_CANDIDATES) < EPOCHS:
            break
    return rates


def plan_of(
    settings: Settings, dataset: Dataset, seconds: float, rates: Mapping[str, float], *, candidates: int, epochs: int | None,
    side: tuple[int, ...] | None, native: int,
) -> Plan:  # fmt: skip
    """The largest images, the better network and the most epochs that the time allows, so that trainings come to an end.

    dataset: at any size, that of `rates`, which `probe` gives. epochs, side: as the user decided. native: the images' own shorter
    side, above which nothing is enlarged. Raises InputError if the time does not suffice for anything sensible.
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
            if epochs_in(seconds, images, choice[2], candidates) >= wanted:
                return _plan(choice, wanted, images, candidates, seconds)
    return _reduced(choice, wanted, dataset, candidates, seconds, epochs)


def _reduced(
    choice: tuple[tuple[int, ...], str, float], wanted: int, dataset: Dataset, candidates: int, seconds: float, epochs: int | None
) -> Plan:  # fmt: skip
    """The smallest images and network with fewer epochs, then fewer candidates, then fewer images; InputError if even that takes
    longer than there is time."""
    images, rate, fewest = _images(dataset), choice[2], epochs or min(wanted, EPOCHS // 2)
    smallest = min(images, math.ceil(IMAGES_PER_CLASS * len(dataset.classes) * images / len(dataset.train.ids)))
    counts = sorted({candidates, *(n for n in (8, FEWEST_CANDIDATES) if n < candidates)}, reverse=True)
    for count in counts:
        possible = epochs_in(seconds, images, rate, count)
        if possible >= fewest:
            return _plan(choice, min(wanted, int(possible)), images, count, seconds)
    affordable = int(images * possible / fewest)
    if affordable >= smallest:
        return _plan(choice, fewest, affordable, counts[-1], seconds)
    minutes = seconds / 60 * smallest / max(1, affordable)
    enough = math.ceil(11 * minutes) / 10
    raise InputError(f"--minutes: too few on this machine ({rate:,.0f} images/s); give about {enough:g} or more")


def epochs_in(seconds: float, images: int, rate: float, candidates: int) -> float:
    """Epochs of the final trainings for which all of it takes that time."""
    return seconds * (1 - RESERVE) * rate / images / work(candidates)


def work(candidates: int) -> float:
    """Trainings of the reference, as long as the final ones, that race and final trainings cost together."""
    race = sum(share * rounds * max(2, math.ceil(candidates * part)) for share, rounds, part in RUNGS)
    return AVERAGE_COST * (race + 2 * SEEDS)


def rungs_of(epochs: int, candidates: int) -> tuple[Rung, ...]:
    """The race of so many candidates, whose final trainings have so many epochs."""
    return tuple(Rung(max(1, round(epochs * share)), rounds, max(2, math.ceil(candidates * part))) for share, rounds, part in RUNGS)


def held_out(images: int) -> float:
    """The share of the training images that each round of the race is judged on."""
    return max(0.1, min(0.3, 500 / images))


def _plan(
    choice: tuple[tuple[int, ...], str, float], epochs: int, images: int, candidates: int, seconds: float
) -> Plan:  # fmt: skip
    size, name, rate = choice
    one = 2 * AVERAGE_COST * images * epochs / rate
    base = work(candidates) * epochs * images / rate
    seeds = max(SEEDS, min(MOST_SEEDS, SEEDS + int((seconds * (1 - RESERVE) - base) / one)))
    return Plan(
        _two(size), name, epochs, images, candidates, rungs_of(epochs, candidates), seeds, round(held_out(images), 4),
        round(rate, 1), round(base + (seeds - SEEDS) * one, 1),
    )  # fmt: skip


def _images(dataset: Dataset) -> int:
    return len(dataset.train.ids) + len(dataset.validation.ids)


def _pixels(dataset: Dataset) -> int:
    return int(math.prod(dataset.train.images.shape[-2:]))


def _two(size: tuple[int, ...]) -> tuple[int, int]:
    return (size[0], size[-1])
