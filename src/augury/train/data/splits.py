"""Fixed, stratified splits that do not depend on the training's seed, on file order or on a library's version."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from augury.core.noise import Noise

_SEED = 0
# The share of every class that is the test part if the data come as one part.
TEST_FRACTION = 0.2


def cut(labels: Tensor, fraction: float, groups: Tensor | None = None, *, name: str = "validation") -> tuple[Tensor, Tensor]:
    """(kept, held) row numbers int64, each ascending: about `fraction` of every class (and group within it) is held out.

    labels int64 [N], groups int64 [N], fraction in (0, 1). Of n images of a class and group, n * fraction (rounded) are held out,
    but at least one is kept and, if n > 1, at least one is held out; a class of two or more images always has one held out. Images
    are ranked by a hash of their row number, so that a larger fraction holds out a superset. `name` is the address of the random
    numbers: cuts with different names are independent.
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


def cut_by_name(names: Sequence[str], classes: Sequence[str], fraction: float) -> list[bool]:
    """Whether each image is held out: about `fraction` of every class, decided by a hash of each image's name alone.

    Neither the order of the images nor adding or removing others changes the decision for an image, so that training images do not
    become test images later. Exceptions: in a class of two or more images of which none would be held out, the first by hash is;
    and if all images of a class would be held out, the last is kept.
    """
    share = [_share(name) for name in names]
    held = [value < fraction for value in share]
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(classes):
        rows.setdefault(name, []).append(row)
    for members in rows.values():
        members.sort(key=lambda row: (share[row], names[row]))
        if len(members) > 1 and not held[members[0]]:
            held[members[0]] = True
        if held[members[-1]]:
            held[members[-1]] = False
    return held


def _share(name: str) -> float:
    """A number in [0, 1) that depends only on the name."""
    digest = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8, person=b"augury test").digest()
    return int.from_bytes(digest, "big") / 2**64


def _by_value(values: Tensor, rank: Tensor) -> list[Tensor]:
    """The rows of every value that occurs, each in the order of `rank`."""
    order = rank[torch.argsort(values[rank], stable=True)]
    _, counts = torch.unique(values, return_counts=True)
    return list(order.split(counts.tolist()))
