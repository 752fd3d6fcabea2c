"""The quality of translations: whether they change the subgroup and keep the class, and how near they are to the target."""

from dataclasses import dataclass

import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import Tensor

from augury.train.data.dataset import Split
from augury.train.data.groups import Groups

_SIDE = 32
MOST_COMPARED = 2000
FLIPPED, LOST, FEWEST_JUDGED = 80.0, 10.0, 10


@dataclass(frozen=True)
class Judge:
    """Classifiers of an image's subgroup and class from its pixels, and their accuracies on real images.

    Support-vector machines with a Gaussian kernel on at most 32 x 32 pixels, fitted to the training part and every second image
    of the validation part, all groups in equal numbers, and tested on the other validation images. The training part alone is
    not enough: with few images of the rare groups a judge mistakes the subgroup for the class, like the network that is to be
    patched. Accuracies are in percent, means over the groups; None if there are no test images.
    """

    subgroup: SVC
    label: SVC
    subgroup_accuracy: float | None
    label_accuracy: float | None

    @staticmethod
    def fit(train: Split, validation: Split, groups: Groups) -> "Judge":
        assert train.groups is not None
        cells = groups.of_split(validation)
        known = (cells >= 0).nonzero()[:, 0]
        fitted, tried = known[::2], known[1::2][:MOST_COMPARED]
        images = torch.cat([train.images, validation.images[fitted]])
        labels = torch.cat([train.labels, validation.labels[fitted]])
        every = torch.cat([groups.of_split(train), cells[fitted]])
        rows = _balanced(every)
        inputs = features(images[rows]).numpy()
        made = [make_pipeline(StandardScaler(), SVC(C=10.0)) for _ in range(2)]
        for model, target in zip(made, (groups.subgroups[every], labels), strict=True):
            model.fit(inputs, target[rows].numpy())
        if not len(tried):
            return Judge(made[0], made[1], None, None)
        shown = features(validation.images[tried]).numpy()
        right = [
            torch.from_numpy(model.predict(shown)) == target
            for model, target in zip(made, (groups.subgroups[cells[tried]], validation.labels[tried]), strict=True)
        ]
        return Judge(made[0], made[1], *(_mean_over(each, cells[tried]) for each in right))


@dataclass(frozen=True)
class Quality:
    """A translation of `images` training images of a class from one subgroup to another.

    flipped: how many the judge assigns to the target subgroup; kept: how many to their own class; both in percent.
    distance_before, distance_after: energy distance, in grey levels per pixel, from the original and from the translated images
    to the real images of the target subgroup in that class; 0 means equal distributions. true_distance, untouched_distance: mean
    absolute difference in grey levels of the translated and of the original images from the true counterparts, if these are known.
    """

    label: str
    start: str
    target: str
    images: int
    flipped: float
    kept: float
    distance_before: float
    distance_after: float
    true_distance: float | None = None
    untouched_distance: float | None = None

    def warnings(self, judge: Judge) -> list[str]:
        """The translation's defects, one line each; none if it is good enough to train on."""
        what = f"translation of {self.label!r} from {self.start!r} to {self.target!r}"
        found = []
        if self.flipped < FLIPPED:
            found.append(f"{what}: {self.flipped:.0f} % of the images look like the target subgroup; train it for more steps")
        if self.kept < (judge.label_accuracy or 100.0) - LOST:
            usual = "" if judge.label_accuracy is None else f", against {judge.label_accuracy:.0f} % of real images"
            found.append(f"{what}: {self.kept:.0f} % of the images keep their class according to the judge{usual}")
        if self.distance_after >= self.distance_before:
            found.append(f"{what}: the images are no nearer to the target subgroup than untouched ones")
        return found


def qualities(split: Split, groups: Groups, translated: Tensor, judge: Judge, truth: Tensor | None = None) -> list[Quality]:
    """The quality of every translation between two subgroups of a class in the training part.

    translated: uint8 [N,K,C,H,W] from `translate_split`. truth: the true counterparts in the same form, if known.
    """
    names, found = groups.subgroup_names, []
    for y, class_name in enumerate(groups.class_names):
        own = [int(groups.subgroups[g]) for g in groups.trained(y)]
        for start in own:
            rows = rows_of(split, y, start)
            for place, target in enumerate(own):
                if start == target:
                    continue
                real = split.images[rows_of(split, y, target)[:MOST_COMPARED]]
                chosen = rows[:MOST_COMPARED]
                made, before = translated[chosen, place], split.images[chosen]
                inputs = features(made).numpy()
                distances: tuple[float | None, float | None] = (None, None)
                if truth is not None:
                    goal = truth[chosen, place].float()
                    distances = ((made.float() - goal).abs().mean().item(), (before.float() - goal).abs().mean().item())
                found.append(Quality(
                    class_name, names[start], names[target], len(rows),
                    100 * float((judge.subgroup.predict(inputs) == target).mean()),
                    100 * float((judge.label.predict(inputs) == y).mean()),
                    energy_distance(features(before), features(real)), energy_distance(features(made), features(real)),
                    *distances,
                ))  # fmt: skip
    return found


def rows_of(split: Split, label: int, subgroup: int) -> Tensor:
    """int64: the rows of a class's images in a subgroup."""
    assert split.groups is not None
    return ((split.labels == label) & (split.groups == subgroup)).nonzero()[:, 0]


def features(images: Tensor) -> Tensor:
    """float32 [N,D] in grey levels: the pixels, averaged to at most 32 per side."""
    values = images.to(torch.float32)
    height, width = (min(side, _SIDE) for side in values.shape[-2:])
    return torch.nn.functional.adaptive_avg_pool2d(values, (height, width)).flatten(1)


def energy_distance(a: Tensor, b: Tensor) -> float:
    """(2 E|X - Y| - E|X - X'| - E|Y - Y'|) / sqrt(D) between rows [N,D] and [M,D]; 0 if and only if the laws are equal.

    Source: Szekely and Rizzo 2013, Energy statistics. Pairs of a row with itself are excluded, so that distances within small
    samples are not underestimated; a sample of one row counts as a point mass.
    """

    def within(rows: Tensor) -> float:
        count = len(rows)
        return (torch.cdist(rows, rows).sum() / (count * (count - 1))).item() if count > 1 else 0.0

    return (2 * torch.cdist(a, b).mean().item() - within(a) - within(b)) / a.shape[1] ** 0.5


def _balanced(cells: Tensor) -> Tensor:
    """Rows, int64: from every group as many as the largest has, repeated cyclically if a group has fewer; at most 2,000 in all."""
    present = [g for g in cells.unique().tolist() if g >= 0]
    every = [(cells == g).nonzero()[:, 0] for g in present]
    count = min(max(map(len, every)), MOST_COMPARED // len(every))
    return torch.cat([rows[torch.arange(count) % len(rows)] for rows in every])


def _mean_over(right: Tensor, cells: Tensor) -> float:
    each = [right[cells == g].double().mean().item() for g in cells.unique().tolist()]
    return 100 * sum(each) / len(each)
