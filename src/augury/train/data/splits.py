"""Fixed, stratified cuts: which images are held out never depends on a training's seed, on order or on a library's version."""

import torch
from torch import Tensor

from augury.core.noise import Noise

_SEED = 0


def cut(labels: Tensor, fraction: float, groups: Tensor | None = None, *, name: str = "validation") -> tuple[Tensor, Tensor]:
    """(kept, held) row numbers int64, each ascending: about `fraction` of every class (and group within it) is held out.

    labels int64 [N], groups int64 [N], fraction in (0, 1). Of n images of a class and group, n * fraction rounded are held,
    but at least one stays and, from two on, at least one is held; a class of two or more images always has one held.
    Images are ranked by a hash of their row number, so that a larger fraction holds out a superset of a smaller one's.
    `name` is the cut's address: cuts of different names are independent.
    """
    rank = torch.argsort(Noise.of(_SEED, torch.arange(len(labels))).fold(name).bits(1)[:, 0], stable=True)
    strata = labels if groups is None else labels * (int(groups.max()) + 1 if len(groups) else 1) + groups
    held = torch.zeros(len(labels), dtype=torch.bool)
    for rows in _by_value(strata, rank):
        if len(rows) > 1:
            held[rows[: min(max(1, int(len(rows) * fraction + 0.5)), len(rows) - 1)]] = True
    if groups is not None:
        for rows in _by_value(labels, rank):
            if len(rows) > 1 and not held[rows].any():
                held[rows[0]] = True
    return (~held).nonzero()[:, 0], held.nonzero()[:, 0]


def _by_value(values: Tensor, rank: Tensor) -> list[Tensor]:
    """The rows of every value that occurs, each in the order of `rank`."""
    order = rank[torch.argsort(values[rank], stable=True)]
    _, counts = torch.unique(values, return_counts=True)
    return list(order.split(counts.tolist()))
