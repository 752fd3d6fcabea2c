"""Chooses the training images that keep their label, for semi-supervised training and its supervised baseline."""

import torch
from torch import Tensor

from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.target_kind import TargetKind
from augury.train.data.dataset import Dataset, Split


def labelled(dataset: Dataset, *, labels: int | None, per_class: int | None, seed: int) -> Split:
    """The training images that keep their labels; all if neither number is given.

    labels: how many in total, stratified (every class by its share of the training part, at least one). per_class: how many of each
    class. The choice depends on the seed and the images' ids, and within a class, a smaller choice is part of a larger one. Raises
    InputError if both are given, and for numbers that the classes do not allow.
    """
    split = dataset.train
    if labels is None and per_class is None:
        return split
    if labels is not None and per_class is not None:
        raise InputError("--labels: given together with --labels-per-class; leave one out")
    if split.kind is TargetKind.SEVERAL:
        flag = "--labels" if per_class is None else "--labels-per-class"
        raise InputError(f"{flag}: counts images of one class each, but these have several labels; give --fraction")
    counts = torch.bincount(split.labels, minlength=len(dataset.classes))
    if per_class is not None:
        short = (counts < per_class).nonzero()[:, 0].tolist()
        if short:
            raise InputError(
                f"--labels-per-class {per_class}: class {dataset.classes[short[0]]!r} has {int(counts[short[0]])} training images"
            )
        wanted = torch.full_like(counts, per_class)
    else:
        assert labels is not None
        if not len(dataset.classes) <= labels <= len(split.ids):
            raise InputError(f"--labels {labels}: must be from {len(dataset.classes)} (one per class) to {len(split.ids)} (all)")
        wanted = _shares(counts, labels)
    return split.chosen(_first(split, wanted, seed))


def _shares(counts: Tensor, labels: int) -> Tensor:
    """Whole numbers that sum to `labels`, as close to the classes' shares as possible with at least one each."""
    exact = counts.double() * labels / counts.sum()
    wanted = exact.floor().long().clamp(min=1)
    while (missing := labels - int(wanted.sum())) != 0:
        step = 1 if missing > 0 else -1
        room = (wanted < counts) if step > 0 else (wanted > 1)
        gap = torch.where(room, step * (exact - wanted.double()), -torch.inf)
        wanted[gap.argmax()] += step
    return wanted


def _first(split: Split, wanted: Tensor, seed: int) -> Tensor:
    """Rows in ascending order: of each class the wanted number, chosen by a hash of their ids."""
    rank = Noise.of(seed, split.ids).fold("labelled").bits(1)[:, 0]
    chosen = []
    for label, count in enumerate(wanted.tolist()):
        rows = (split.labels == label).nonzero()[:, 0]
        chosen.append(rows[torch.argsort(rank[rows], stable=True)[:count]])
    return torch.cat(chosen).sort().values
