"""Makes data harder by using fewer training images, or wrong labels for some of them; always the same ones."""

from dataclasses import replace

import torch
from torch import Tensor

from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.target_kind import TargetKind
from augury.train.data.dataset import Dataset, Split, statistics

# Not the training's seed, since every seed of a comparison must use the same images and the same wrong labels.
_SEED = 0


def reduced(dataset: Dataset, *, fraction: float = 1.0, label_noise: float = 0.0) -> Dataset:
    """The data set with a fraction of its training images, and with noise in a share of their labels.

    Validation and test parts are unchanged; `mean` and `std` become those of the remaining images. `notes` say what was done.
    Raises InputError unless `fraction` is in (0, 1] and `label_noise` in [0, 1].
    """
    if not 0 < fraction <= 1:
        raise InputError(f"--fraction: {fraction:g} must be above 0 and at most 1")
    if not 0 <= label_noise <= 1:
        raise InputError(f"--label-noise: {label_noise:g} must be from 0 to 1")
    if fraction < 1:
        dataset = _with_fewer(dataset, fraction)
    return _with_noise(dataset, label_noise) if label_noise > 0 else dataset


def kept_rows(split: Split, fraction: float) -> Tensor:
    """Rows of a stratified subset, int64, ascending: that fraction of every class, rounded, but at least one image.

    Which images are kept depends only on their ids, and a smaller subset is part of a larger one.
    """
    rank = _draw(split, "fraction")
    kept = []
    strata = split.strata
    for stratum in strata.unique():
        rows = (strata == stratum).nonzero()[:, 0]
        count = max(1, round(fraction * len(rows)))
        kept.append(rows[torch.argsort(rank[rows], stable=True)[:count]])
    return torch.cat(kept).sort().values


def noisy_labels(split: Split, share: float, classes: int) -> tuple[Tensor, Tensor]:
    """Labels int64 [N] with `share` of them redrawn uniformly over all classes, the true one included; and those rows, bool [N].

    As in the label corruption of Zhang et al. 2017 (arXiv:1611.03530, section 2.1) that the augmentation invariant training paper
    uses (section 4.3.2), except that the number of redrawn labels is exact. The labels that a smaller share redraws are among those
    of a larger one, with the same results.
    """
    redrawn = torch.zeros(len(split.ids), dtype=torch.bool, device=split.labels.device)
    redrawn[torch.argsort(_draw(split, "label noise"), stable=True)[: round(share * len(redrawn))]] = True
    anew = Noise.of(_SEED, split.ids).fold("wrong label").integers(1, classes)[:, 0]
    return torch.where(redrawn, anew, split.labels), redrawn


def _with_fewer(dataset: Dataset, fraction: float) -> Dataset:
    rows = kept_rows(dataset.train, fraction)
    train = dataset.train.chosen(rows)
    mean, std = statistics(train.images)
    note = f"fraction {fraction:g}: {len(rows)} of {len(dataset.train.ids)} training images are used"
    return replace(dataset, train=train, mean=mean, std=std, notes=(*dataset.notes, note))


def _with_noise(dataset: Dataset, share: float) -> Dataset:
    if dataset.kind is TargetKind.SEVERAL:
        raise InputError("--label-noise: replaces the one class of an image, but these have several labels; leave it out")
    labels, redrawn = noisy_labels(dataset.train, share, len(dataset.classes))
    wrong = int((labels != dataset.train.labels).sum())
    note = f"label noise {share:g}: {int(redrawn.sum())} of {len(labels)} training labels are drawn at random, {wrong} are wrong"
    return replace(dataset, train=replace(dataset.train, labels=labels), notes=(*dataset.notes, note))


def _draw(split: Split, name: str) -> Tensor:
    return Noise.of(_SEED, split.ids).fold(name).bits(1)[:, 0]
