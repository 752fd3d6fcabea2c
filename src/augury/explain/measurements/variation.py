"""Intra-augmentation variation: how much a network's outputs change if only the augmentation does."""

import itertools
from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor

from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.options import Chain, Interval
from augury.core.registry import register
from augury.explain.measurements.measurement import Figure, Measured, Spread, Subject, Table, TableRow, groups_of
from augury.explain.measurements.sets import logits_and_features, sets_named
from augury.explain.report.diagrams import dot_panel
from augury.train.data.dataset import Dataset
from augury.train.strategies.similarity import euclidean, log_probabilities, symmetric_kl

_FIGURES = {
    "divergence": "KL divergence of predictions, nats",
    "distance": "Distance of features",
    "relative": "Distance of features, relative",
}


@register(
    "measurement", "variation", source="Chen et al. 2021, Augmentation Invariant Training (ICCV workshops), section 4.5, figure 5"
)
def variation(
    subjects: Sequence[Subject], dataset: Dataset, *, sets: tuple[Chain, ...] | None = None, seed: Annotated[int, Interval(0)] = 0
) -> Measured:
    """How much predictions and features of the same image differ between augmented test sets.

    For every pair of sets: the KL divergence of predictions (mean of its two directions) and the Euclidean distance of features,
    averaged over the images. Small features have small distances, so distances are also given relative to the mean distance
    between different images of the first set. `sets`, `seed`: as in `transfer`.
    """
    chosen = sets_named(sets)
    if len(chosen) < 2:
        raise InputError("--what: variation: name at least two sets, for example sets=[none, crop]")
    names = [each.name for each in chosen]
    pairs = list(itertools.combinations(range(len(chosen)), 2))
    labels = [f"{names[a]}, {names[b]}" for a, b in pairs]
    found: dict[str, list[dict[str, list[float]]]] = {}
    for group, members in groups_of(subjects).items():
        for subject in members:
            seen = [logits_and_features(subject, dataset.test, each.chain, seed) for each in chosen]
            found.setdefault(group, []).append(_between(seen, pairs, dataset.test.ids, seed))
    spreads = {
        key: {g: [Spread(tuple(s[key][p] for s in seeds)) for p in range(len(pairs))] for g, seeds in found.items()}
        for key in _FIGURES
    }
    images = len(dataset.test.ids)
    note = f"Means over {images} test images; for several seeds their mean, with the lowest and the highest in brackets."
    tables = []
    for key, title in _FIGURES.items():
        rows: list[TableRow] = [(group, *(s.text(3) for s in row)) for group, row in spreads[key].items()]
        tables.append(Table(title, ("trained with", *labels), tuple(rows), note))
    figures = tuple(Figure(title, dot_panel(title, labels, spreads[key]), note) for key, title in _FIGURES.items())
    values = {
        "images": images,
        "seed": seed,
        "sets": {each.name: str(each.chain) for each in chosen},
        "pairs": labels,
        "rows": [
            {"trained": group, "n": len(seeds), **{key: [one[key] for one in seeds] for key in _FIGURES}}
            for group, seeds in found.items()
        ],
    }
    return Measured(_summary(spreads["divergence"], spreads["relative"]), values, tuple(tables), figures)


def _between(seen: list[tuple[Tensor, Tensor]], pairs: list[tuple[int, int]], ids: Tensor, seed: int) -> dict[str, list[float]]:
    """One network's divergence, distance, and distance relative to that between different images, per pair of sets."""
    logs = [log_probabilities(logits) for logits, _ in seen]
    features = [f for _, f in seen]
    others = features[0][Noise.of(seed, ids).fold("other image").partners()]
    scale = max(euclidean(features[0], others).mean().item(), torch.finfo(torch.float32).tiny)
    distance = [euclidean(features[a], features[b]).mean().item() for a, b in pairs]
    divergence = [symmetric_kl(logs[a], logs[b]).mean().item() / 2 for a, b in pairs]
    return {"divergence": divergence, "distance": distance, "relative": [d / scale for d in distance]}


def _summary(divergence: dict[str, list[Spread]], relative: dict[str, list[Spread]]) -> str:
    def mean(row: list[Spread]) -> float:
        return sum(s.mean for s in row) / len(row)

    said = [f"{g}: {mean(divergence[g]):.3f} nats and {100 * mean(relative[g]):.0f} %" for g in divergence]
    return (
        "Mean over all pairs of test sets of the divergence of an image's predictions, and of the distance of its features in "
        f"percent of that between different images. {'; '.join(said)}."
    )
