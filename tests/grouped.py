"""What the tests of group strategies share: groups and views made by hand."""

import torch
from torch import Tensor

from augury.core.batch import Batch
from augury.core.targets import Targets
from augury.train.data.groups import Groups


def groups(pairs: list[tuple[int, int]], counts: list[int]) -> Groups:
    """Groups from (class, subgroup) pairs and their numbers of training images."""
    table = torch.tensor(pairs)
    classes, subgroups = int(table[:, 0].max()) + 1, int(table[:, 1].max()) + 1
    return Groups(
        table[:, 0], table[:, 1], torch.tensor(counts), tuple(f"{y}, {z}" for y, z in pairs),
        tuple(map(str, range(classes))), tuple(map(str, range(subgroups))),
    )  # fmt: skip


WATERBIRDS = groups([(0, 0), (0, 1), (1, 0), (1, 1)], [3498, 184, 56, 1057])


class HandViews:
    """Views of one batch that is its own features; `translated` [B,K,D] are its translations."""

    def __init__(self, images: Tensor, labels: Tensor, subgroups: Tensor | None, translated: Tensor | None = None) -> None:
        self.images, self.labels, self.subgroups, self.translated = images, labels, subgroups, translated

    def __call__(self, view: int = 0, pipeline: int = 0, stream: str = "train") -> Batch:
        targets = Targets.of(self.labels, 2)
        ids = torch.arange(len(self.labels))
        if stream == "train":
            return Batch(self.images, targets, ids, groups=self.subgroups)
        assert self.translated is not None
        return Batch(self.translated.flatten(0, 1), None, ids)
