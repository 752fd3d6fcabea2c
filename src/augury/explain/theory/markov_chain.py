"""Augmentation as a Markov chain, and nearest neighbours on its draws."""

import math
from typing import Annotated

import torch
from torch import Tensor

from augury.augment.apply import apply
from augury.core.noise import Noise
from augury.core.options import Interval
from augury.core.registry import register
from augury.explain.measurements.measurement import Figure, Table, TableRow
from augury.explain.report.diagrams import Point, line_panel, side_by_side
from augury.explain.theory.chain import absorbing, close, neighbour_votes, sample
from augury.explain.theory.claim import Checked, Claim, Pictures, pixels

_SOURCE = "Dao et al. 2019, section 3; Automating the Art of Data Augmentation, part III"
# Horizontal flip, vertical flip, quarter turn: each image has eight states, and the last does not commute with the first two.
_WEIGHTS = (0.3, 0.2, 0.5)
_SHARE = 0.01
_CHANCE = 1e-6
_SLOPE = 0.15
_AGREE = 0.98


@register(
    "theory", "markov_chain",
    source="Dao et al. 2019, A Kernel Theory of Modern Data Augmentation, arXiv:1803.06084, section 3",
)  # fmt: skip
def markov_chain(
    pictures: Pictures,
    *,
    images: Annotated[int, Interval(10, 500)] = 100,
    queries: Annotated[int, Interval(10, 2000)] = 200,
    stop: Annotated[float, Interval(0.05, 1)] = 0.4,
    draws: Annotated[int, Interval(10_000, 2_000_000)] = 256_000,
    seed: Annotated[int, Interval(0)] = 0,
) -> Checked:
    """A random sequence of transformations, its distribution in closed form, and nearest neighbours on its draws.

    A chain starts at one of the training images, stops with probability `stop` before each step, and otherwise applies a
    randomly drawn transformation. A horizontal flip (0.3), a vertical flip (0.2) and a quarter turn (0.5) give eight states for
    each of `images` images, so the distribution solves a linear system. `queries` test images are classified by k-nearest-neighbour
    voting on growing numbers of draws, with k 1 % of them, and by the kernel classifier that is the limit.
    """
    few = pictures.some(images, queries, seed)
    images_seen, labels = _different(few.train.images, few.train.labels)
    functions = (lambda x: apply("flip", x), lambda x: apply("flip_vertical", x), lambda x: x.rot90(1, (-2, -1)))
    states, table = close(images_seen, functions)
    weights = torch.tensor(_WEIGHTS, dtype=torch.float64)
    law = absorbing(table, weights, stop)[: len(labels)] / len(labels)
    address = torch.arange(draws)
    start = Noise.of(seed, address).fold("start").integers(1, len(labels))[:, 0]
    ends = sample(start, table, weights, stop, Noise.of(seed, address).fold("chain"))
    law_mass = _mass(law, labels, few.classes)
    distance = torch.cdist(pixels(few.test.images, 16), pixels(states, 16))
    kernel_votes = neighbour_votes(distance, law_mass, _SHARE)
    counts = sorted({max(1000, draws // 4**k) for k in range(5)})
    steps = []
    for count in counts:
        seen = torch.bincount(ends[:count], minlength=len(states)).double()
        mass = torch.zeros_like(law_mass).index_put_(
            (ends[:count], labels[start[:count]]), torch.ones(count, dtype=torch.float64), accumulate=True
        )
        votes = neighbour_votes(distance, mass, _SHARE)
        steps.append(
            {
                "draws": count, "k": round(_SHARE * count),
                "law": 0.5 * (seen / count - law.sum(0)).abs().sum().item(), "law_allowed": _allowed(len(states), count),
                "votes": (votes - kernel_votes).square().sum(1).mean().sqrt().item(), "votes_allowed": (_SHARE * count) ** -0.5,
                "agreement": (votes.argmax(1) == kernel_votes.argmax(1)).double().mean().item(),
            }
        )  # fmt: skip
    accuracy = (kernel_votes.argmax(1) == few.test.labels).double().mean().item()
    return Checked(
        f"{len(labels)} images of {few.name} with their flips and quarter turns, {len(states)} states; chains stop with "
        f"probability {stop:g} before every step. {draws:,} chains were run (seed {seed}). Neighbours are by the distance of "
        f"pixels, for {len(few.test.labels)} test images; the kernel classifier is {100 * accuracy:.1f} % accurate on them.",
        _claims(steps, len(states)),
        (_table(steps),),
        (_figure(steps),),
    )


def _claims(steps: list[dict[str, float]], states: int) -> tuple[Claim, ...]:
    last = steps[-1]
    slope = _slope([s["draws"] for s in steps], [s["votes"] for s in steps])
    return (
        Claim(
            "The chain's absorbing distribution is stop * start * (I - (1 - stop) P)^-1.", _SOURCE,
            f"For every number N of draws, half the sum of |seen - law| over the {states} states is at most "
            f"sqrt(states / N) / 2 + sqrt(ln(1/{_CHANCE:g}) / (2 N)), exceeded by a sampler of that law at most once in a million.",
            f"{last['law']:.4f} at N = {last['draws']:,} (allowed {last['law_allowed']:.4f}); "
            + ", ".join(f"{s['law']:.3f} of {s['law_allowed']:.3f}" for s in steps[:-1]) + " at the smaller ones.",
            all(s["law"] <= s["law_allowed"] for s in steps), {"steps": steps},
        ),
        Claim(
            "k-nearest neighbours on the augmented data is asymptotically a kernel classifier.", _SOURCE,
            f"The root mean square distance of the votes is at most 1 / sqrt(k) for every k, falls with the number of draws to the "
            f"power -1/2 within {_SLOPE}, and with the most draws at least {100 * _AGREE:.0f} % of the predictions agree.",
            f"Distance {last['votes']:.4f} at k = {last['k']:,} (allowed {last['votes_allowed']:.4f}), power {slope:.3f}, "
            f"{100 * last['agreement']:.1f} % agree.",
            all(s["votes"] <= s["votes_allowed"] for s in steps) and abs(slope + 0.5) <= _SLOPE and last["agreement"] >= _AGREE,
            {"slope": slope},
        ),
    )  # fmt: skip


def _allowed(states: int, draws: int) -> float:
    """The mean total variation distance of `draws` draws is below sqrt(states / draws) / 2; McDiarmid bounds the deviation."""
    return 0.5 * math.sqrt(states / draws) + math.sqrt(math.log(1 / _CHANCE) / (2 * draws))


def _different(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Removes repeated images."""
    seen: dict[bytes, int] = {}
    for row, image in enumerate(images):
        seen.setdefault(image.numpy().tobytes(), row)
    rows = torch.tensor(list(seen.values()))
    return images[rows], labels[rows]


def _mass(law: Tensor, labels: Tensor, classes: int) -> Tensor:
    return torch.zeros(law.shape[1], classes, dtype=torch.float64).index_add_(1, labels, law.T.contiguous())


def _slope(x: list[float], y: list[float]) -> float:
    x_log, y_log = (torch.tensor(v, dtype=torch.float64).clamp(min=1e-300).log() for v in (x, y))
    x_log = x_log - x_log.mean()
    return ((x_log * y_log).sum() / x_log.square().sum()).item()


def _table(steps: list[dict[str, float]]) -> Table:
    rows: list[TableRow] = [
        (f"{s['draws']:,}", f"{s['k']:,}", f"{s['law']:.4f}", f"{s['law_allowed']:.4f}", f"{s['votes']:.4f}",
         f"{s['votes_allowed']:.4f}", 100 * s["agreement"]) for s in steps
    ]  # fmt: skip
    columns = ("draws", "k", "distance from the law", "allowed", "distance of votes", "allowed", "same prediction, %")
    return Table("By the number of draws", columns, tuple(rows), digits=1)


def _figure(steps: list[dict[str, float]]) -> Figure:
    def line(key: str) -> list[Point]:
        return [(s["draws"], s[key], s[key], s[key]) for s in steps]

    panels = [
        line_panel(title, {"allowed": line(f"{key}_allowed"), "measured": line(key)}, ("draws", "distance"), log="xy")
        for title, key in (("From the law of the chain", "law"), ("From the kernel classifier's votes", "votes"))
    ]
    caption = "Left: half the sum of differences between states' frequencies and probabilities. Right: distance of votes."
    return Figure("Draws against closed forms", side_by_side(panels, ["allowed", "measured"]), caption)
