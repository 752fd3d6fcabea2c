"""A network's answers on one part of the data, from which metrics are computed."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from augury.core.target_kind import TargetKind
from augury.train.data.dataset import Split
from augury.train.data.groups import Groups


@dataclass(frozen=True)
class Answers:
    """A network's answers on one part. labels, predictions int64 [N], or bool [N, classes] if an image may have several labels;
    probability float64 [N, classes]; groups int64 [N], the (class, subgroup) cell of each image, -1 where unknown, or None if
    the data have none."""

    labels: np.ndarray
    predictions: np.ndarray
    probability: np.ndarray
    groups: np.ndarray | None = None

    @property
    def kind(self) -> TargetKind:
        """Whether images have one label or several."""
        return TargetKind.of(self.labels)

    @staticmethod
    def of(prediction: Tensor, probability: Tensor, split: Split, groups: Groups | None = None) -> "Answers":
        """The answers for the images of `split`."""
        cells = None if groups is None or split.groups is None else groups.of_split(split).cpu().numpy()
        return Answers(split.labels.cpu().numpy(), prediction.cpu().numpy(), probability.cpu().double().numpy(), cells)
