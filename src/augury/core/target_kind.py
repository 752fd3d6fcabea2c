"""What a label says: one class of an image, or which of the classes are in it. All that differs between the two is here."""

from collections.abc import Sequence
from enum import Enum

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

# What stands between the names of an image's classes, in tables and reports.
SEPARATOR = "|"
# A class is answered where its probability is at least this.
THRESHOLD = 0.5


class TargetKind(Enum):
    """one: labels are class indices, int64 [B]; probabilities are a softmax, the loss is the cross-entropy.
    several: labels say of every class whether it is there, bool [B, classes]; every class has a probability of its own, a
    sigmoid, and the loss is the mean over the classes of the binary cross-entropy."""

    ONE = "one"
    SEVERAL = "several"

    @staticmethod
    def of(labels: Tensor | np.ndarray) -> "TargetKind":
        """That of labels as data sets hold them, int64 [N] or bool [N, classes]."""
        return TargetKind.SEVERAL if labels.ndim == 2 else TargetKind.ONE

    @property
    def words(self) -> str:
        """For messages: `one class per image`, `several labels per image`."""
        return "one class per image" if self is TargetKind.ONE else "several labels per image"

    def loss(self, logits: Tensor, index: Tensor, weight: Tensor, smoothing: float, positive: Tensor | None) -> Tensor:
        """float32 [B], in nats, of logits [B, classes] and weighted labels (see `Targets`), smoothed; positive: float [classes],
        what a class that is there counts for (`pos_weight` of `torch.nn.BCEWithLogitsLoss`)."""
        if self is TargetKind.ONE:
            log_probability = functional.log_softmax(logits.float(), 1)
            hard = -(log_probability.gather(1, index) * weight).sum(1)
            return hard if smoothing == 0 else (1 - smoothing) * hard - smoothing * log_probability.mean(1)
        labels = weight if smoothing == 0 else self.smoothed(weight, smoothing)
        found = functional.binary_cross_entropy_with_logits(logits.float(), labels, reduction="none", pos_weight=positive)
        return found.mean(1)

    def smoothed(self, dense: Tensor, share: float) -> Tensor:
        """Label smoothing: `share` of the weight goes to all classes alike, or to both answers of every class alike."""
        return dense * (1 - share) + share / (dense.shape[1] if self is TargetKind.ONE else 2)

    def entropy(self, dense: Tensor) -> Tensor:
        """The lowest loss that labels allow, float32 [B]."""
        if self is TargetKind.ONE:
            return torch.special.entr(dense).sum(1)
        return (torch.special.entr(dense) + torch.special.entr(1 - dense)).mean(1)

    def probability(self, logits: Tensor) -> Tensor:
        """float [B, classes]."""
        return logits.softmax(1) if self is TargetKind.ONE else logits.sigmoid()

    def answer(self, probability: Tensor) -> tuple[Tensor, Tensor]:
        """(prediction, confidence float [B]): the likeliest class, int64 [B], or the classes that are likely to be there, bool
        [B, classes]. The confidence is the prediction's probability; of several labels, the product over the classes."""
        if self is TargetKind.ONE:
            confidence, prediction = probability.max(1)
            return prediction, confidence
        there = probability >= THRESHOLD
        return there, torch.where(there, probability, 1 - probability).prod(1)

    def probability_of(self, labels: Tensor, probability: Tensor) -> Tensor:
        """The probability that is given to the labels as they are, float [B]; of several, the product over the classes."""
        if self is TargetKind.ONE:
            return probability.gather(1, labels[:, None])[:, 0]
        return torch.where(labels, probability, 1 - probability).prod(1)

    def right(self, prediction: Tensor, labels: Tensor) -> Tensor:
        """bool [B]: whether a prediction is the label, in every class."""
        same = prediction == labels
        return same if self is TargetKind.ONE else same.all(1)

    def counts(self, labels: Tensor, classes: int) -> Tensor:
        """The images of every class, int64 [classes]."""
        return torch.bincount(labels, minlength=classes) if self is TargetKind.ONE else labels.sum(0)

    def strata(self, labels: Tensor) -> Tensor:
        """int64 [B]: what parts of the data are stratified by: the class; of several labels the rarest one, by which rare classes
        are shared out before common ones (after Sechidis et al. 2011), and the number of classes where there is none."""
        if self is TargetKind.ONE or not len(labels):
            return labels if self is TargetKind.ONE else labels.new_zeros(0, dtype=torch.int64)
        order = torch.argsort(labels.sum(0), stable=True)  # rarest first
        ranked = labels[:, order]
        return torch.where(ranked.any(1), order[ranked.to(torch.uint8).argmax(1)], labels.shape[1])

    def named(self, label: Tensor, classes: Sequence[str]) -> str:
        """One image's label, for people: the class, or the classes with `|` between them, or `none`."""
        if self is TargetKind.ONE:
            return classes[int(label)]
        return SEPARATOR.join(name for name, there in zip(classes, label.tolist(), strict=True) if there) or "none"
