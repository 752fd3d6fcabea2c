"""Groups: the (class, subgroup) cells of a data set, and a model's accuracy in each of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from augury.core.errors import InputError
from augury.train.data.dataset import Dataset, Split


@dataclass(frozen=True)
class Groups:
    """The G (class, subgroup) pairs that occur in a data set, sorted by class and then by subgroup.

    A subgroup is what the data call `group`: a number in `Split.groups`, -1 if unknown. classes, subgroups int64 [G]: the pairs.
    counts int64 [G]: their training images (0 if only another part has the pair). names: of the pairs; class_names, subgroup_names:
    of their parts.
    """

    classes: Tensor
    subgroups: Tensor
    counts: Tensor
    names: tuple[str, ...]
    class_names: tuple[str, ...]
    subgroup_names: tuple[str, ...]

    @staticmethod
    def of_labels(labels: Tensor, groups: Tensor, *, classes: int) -> "Groups":
        """The groups of training images given by their labels and subgroups, int64 [N] each; classes are named by number."""
        labels, groups = torch.as_tensor(labels).cpu().to(torch.int64), torch.as_tensor(groups).cpu().to(torch.int64)
        if labels.ndim != 1 or labels.shape != groups.shape or not len(labels) or int(groups.min()) < 0:
            raise InputError("groups: expected (labels, groups) of all training images, whole numbers [N] each, none negative")
        pairs, counts = torch.unique(torch.stack([labels, groups], 1), dim=0, return_counts=True)
        subgroups = tuple(str(z) for z in range(int(groups.max()) + 1))
        names = tuple(f"{y}, {z}" for y, z in pairs.tolist())
        return Groups(pairs[:, 0], pairs[:, 1], counts, names, tuple(str(y) for y in range(classes)), subgroups)

    def __len__(self) -> int:
        return len(self.classes)

    def of(self, labels: Tensor, subgroups: Tensor) -> Tensor:
        """int64 [N]: the group of every image, -1 if its subgroup is unknown. Does not synchronise with the device."""
        match = (labels[:, None] == self.classes.to(labels.device)) & (subgroups[:, None] == self.subgroups.to(labels.device))
        return torch.where(match.any(1), match.to(torch.int8).argmax(1), -1)

    def of_split(self, split: Split) -> Tensor:
        """As `of`, int64 [N]; all -1 if the part has no subgroups."""
        return torch.full_like(split.labels, -1) if split.groups is None else self.of(split.labels, split.groups)

    def trained(self, label: int) -> list[int]:
        """The groups of a class that have training images."""
        return [g for g in range(len(self)) if int(self.classes[g]) == label and int(self.counts[g]) > 0]


def groups_of(dataset: Dataset) -> Groups:
    """The groups of a data set.

    Raises InputError if the training part has no groups, or if some of its images have none.
    """
    train = dataset.train
    if train.groups is None:
        raise InputError(
            f"DATA {dataset.name}: has no groups; give an array `group` in train.npz, a column `group` in the manifest, "
            "or class/group/ folders"
        )
    unknown = int((train.groups < 0).sum())
    if unknown:
        raise InputError(f"DATA {dataset.name}: {unknown} training images have no group; give them one, or leave them out")
    parts = [part for part in (train, dataset.validation, dataset.test) if part.groups is not None]
    labels = torch.cat([part.labels.cpu() for part in parts])
    subgroups = torch.cat([part.groups.cpu() for part in parts if part.groups is not None])
    known = subgroups >= 0
    pairs = torch.unique(torch.stack([labels[known], subgroups[known]], 1), dim=0)
    names = subgroup_names(dataset, int(pairs[:, 1].max()) + 1)
    found = Groups(
        pairs[:, 0], pairs[:, 1], torch.zeros(len(pairs), dtype=torch.int64),
        tuple(f"{dataset.classes[y]}, {names[z]}" for y, z in pairs.tolist()), dataset.classes, names,
    )  # fmt: skip
    counts = torch.bincount(found.of(train.labels.cpu(), train.groups.cpu()), minlength=len(pairs))
    return Groups(found.classes, found.subgroups, counts, found.names, found.class_names, found.subgroup_names)


def subgroup_names(dataset: Dataset, count: int) -> tuple[str, ...]:
    """Names for subgroups 0 .. count-1: the data's own, or their numbers."""
    own = dataset.group_names
    return tuple(own[z] if z < len(own) else str(z) for z in range(count))


@dataclass(frozen=True)
class GroupAccuracy:
    """accuracy: over all images of a part, in percent, so that groups weigh as much as they have images there. groups: percent
    per group, None if the part has no image of it. counts: images per group. unknown: images without a group."""

    accuracy: float
    groups: tuple[float | None, ...]
    counts: tuple[int, ...]
    unknown: int

    @property
    def worst(self) -> float | None:
        """The lowest accuracy of a group, in percent ("robust accuracy"); None if no image has a group."""
        return min((a for a in self.groups if a is not None), default=None)

    def gaps(self, groups: Groups) -> dict[str, float | None]:
        """The highest minus the lowest accuracy among each class's groups, in points, by class name; None with fewer than two."""
        found: dict[str, float | None] = {}
        for label, name in enumerate(groups.class_names):
            own = [a for a, y in zip(self.groups, groups.classes.tolist(), strict=True) if y == label and a is not None]
            found[name] = max(own) - min(own) if len(own) > 1 else None
        return found


def group_accuracy(prediction: Tensor, split: Split, groups: Groups) -> GroupAccuracy:
    """Overall accuracy and accuracy per group; prediction int64 [N] for the images of `split`."""
    cells = groups.of_split(split).cpu()
    right = (prediction == split.labels).cpu().double()
    known = cells >= 0
    counts = torch.bincount(cells[known], minlength=len(groups))
    hits = torch.bincount(cells[known], weights=right[known], minlength=len(groups))
    each = [100 * h / n if n else None for h, n in zip(hits.tolist(), counts.tolist(), strict=True)]
    return GroupAccuracy(100 * right.mean().item(), tuple(each), tuple(counts.tolist()), int((~known).sum()))


def aggregate(accuracies: Sequence[float], counts: Sequence[int]) -> float:
    """The accuracy of a part from the accuracies and image counts of its groups.

    Goel et al. use the counts of the test part; weighting by those of the training part, as Sagawa et al. do, gives the majority's
    accuracy instead (Waterbirds, ERM: 96.8 rather than 86.3).
    """
    return sum(a * n for a, n in zip(accuracies, counts, strict=True)) / sum(counts)
