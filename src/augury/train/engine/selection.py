"""Which epoch's network a training ends with, and when it stops: the last, or the best on the validation part."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from augury.core.errors import InputError
from augury.train.data.dataset import Split
from augury.train.data.groups import Groups, group_accuracy
from augury.train.engine.evaluate import Evaluation


@dataclass
class Selection:
    """select: `last`; `validation`, the epoch with the highest validation accuracy; `worst_group`, the one with the highest
    accuracy of the worst group there (the first of equals). patience: epochs without a better one after which to stop."""

    select: str
    patience: int | None
    groups: Groups | None
    best: float = -1.0
    epoch: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)

    def check(self, validation: Split) -> None:
        """InputError where the validation part cannot answer what is selected by."""
        if self.select == "worst_group" and (self.groups is None or bool((self.groups.of_split(validation) < 0).all())):
            raise InputError(
                "--select worst_group: the validation part has no groups; add a `group` there, or select by validation"
            )
        if self.patience is not None and self.select == "last":
            raise InputError("--patience: says when the validation stops getting better; add --select validation or worst_group")

    def see(self, epoch: int, found: Evaluation, validation: Split, model: nn.Module) -> dict[str, Any]:
        """Take in an epoch (1-based); what metrics.jsonl says of its groups."""
        row: dict[str, Any] = {}
        value = found.accuracy
        if self.groups is not None and validation.groups is not None:
            worst = group_accuracy(found.prediction, validation, self.groups).worst
            row["validation_worst_group"] = worst
            value = worst if self.select == "worst_group" and worst is not None else value
        if self.select != "last" and value > self.best:
            self.best, self.epoch = value, epoch
            self.weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        return row

    def stopped(self, epoch: int) -> bool:
        """Whether `patience` epochs have passed since the best one."""
        return self.patience is not None and self.epoch > 0 and epoch - self.epoch >= self.patience

    def restore(self, model: nn.Module) -> None:
        """Give the model the selected epoch's weights."""
        if self.weights:
            model.load_state_dict(self.weights)

    def state(self) -> dict[str, Any]:
        return {"best": self.best, "epoch": self.epoch}

    def load(self, state: dict[str, Any], weights: dict[str, Tensor]) -> None:
        """Put back what a checkpoint kept."""
        self.best, self.epoch, self.weights = state["best"], state["epoch"], weights
