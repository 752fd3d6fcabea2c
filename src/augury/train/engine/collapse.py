"""Detects a collapse: a network that gives the same answer for every image, which raises no error by itself."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

# How many of the last epochs must be at chance before a collapse is reported: a network may start at chance.
EPOCHS = 3
# A network whose loss is below that of the uniform prediction, log(classes), by more than this fraction has learnt something.
_SHARE = 0.01


@dataclass(frozen=True)
class Collapse:
    """A network (1-based) at chance from an epoch to the end; its last accuracy in percent and loss in nats."""

    network: int
    since_epoch: int
    accuracy: float
    loss: float

    def dict(self) -> dict[str, Any]:
        return {"network": self.network, "since_epoch": self.since_epoch, "accuracy": self.accuracy, "loss": self.loss}

    def note(self, of: int) -> str:
        """The warning, for a training of `of` networks."""
        what = f"network {self.network}" if of > 1 else "the network"
        return (
            f"{what} collapsed: since epoch {self.since_epoch} its validation accuracy is that of chance ({self.accuracy:.1f} %) "
            f"and its loss that of an even guess ({self.loss:.3f}); try a smaller --lr, --nesterov false or --clip-grad 1, "
            "or a smaller weight of the strategy's own loss"
        )


def collapsed(rows: Sequence[dict[str, Any]], labels: Tensor, classes: int) -> list[Collapse]:
    """The networks that ended at chance, from the lines of metrics.jsonl and the validation part's labels.

    At chance: the validation loss is not below 0.99 log(classes), and the accuracy is not above that of always naming the
    most common class plus three standard deviations of a sample of that size. Both must hold for at least the last three
    epochs; shorter trainings are not judged.
    """
    if len(rows) < EPOCHS or len(labels) == 0 or classes < 2:
        return []
    count = len(labels)
    common = float(torch.bincount(labels.cpu(), minlength=classes).max()) / count
    highest = 100 * (common + 3 * math.sqrt(common * (1 - common) / count))
    floor = (1 - _SHARE) * math.log(classes)
    networks = len(rows[-1].get("validation_accuracies", [0.0]))
    found = []
    for number in range(networks):
        figures = [_of(row, number) for row in rows]
        since = len(rows)
        while since and figures[since - 1][0] <= highest and not figures[since - 1][1] < floor:
            since -= 1
        if len(rows) - since >= EPOCHS:
            found.append(Collapse(number + 1, rows[since]["epoch"], *figures[-1]))
    return found


def _of(row: dict[str, Any], number: int) -> tuple[float, float]:
    """Accuracy and loss of a network after an epoch."""
    accuracies = row.get("validation_accuracies", [row["validation_accuracy"]])
    losses = row.get("validation_losses", [row["validation_loss"]] * len(accuracies))
    return accuracies[number], losses[number]
