"""Chooses the epoch whose network is kept, the last or the best on the validation part, and when to stop.

A refined training has two stages, each of which chooses among its own epochs, so that the refinement is neither skipped by early
stopping nor discarded for an epoch before it.
"""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from augury.core.errors import InputError
from augury.core.target_kind import TargetKind
from augury.train.data.dataset import Split
from augury.train.data.groups import Groups, group_accuracy
from augury.train.engine.answers import Answers
from augury.train.engine.evaluate import Evaluation
from augury.train.engine.metrics import Metric, metric_of
from augury.train.engine.settings import MetricName


@dataclass
class Selection:
    """select: `last`; `validation`, the epoch with the best `metric` on the validation part; `worst_group`, the one with the
    highest accuracy of the worst group there (the first of equals). patience: epochs without improvement after which a stage
    stops. best, epoch, weights: of the epoch chosen so far in the current stage. ended: once stage one is over, its last epoch
    (1-based) and the epoch that it chose.
    """

    select: str
    patience: int | None
    groups: Groups | None
    metric: MetricName | None = "accuracy"
    kind: TargetKind = TargetKind.ONE
    best: float = -1.0
    epoch: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)
    ended: tuple[int, int] | None = None

    def check(self, validation: Split) -> None:
        """InputError if the validation part lacks the groups to select by, or `patience` has no metric to watch."""
        if self.select == "worst_group" and (self.groups is None or bool((self.groups.of_split(validation) < 0).all())):
            raise InputError(
                "--select worst_group: the validation part has no groups; add a `group` there, or select by validation"
            )
        if self.patience is not None and self.select == "last":
            raise InputError("--patience: needs a selection on the validation part; add --select validation or worst_group")

    def see(self, epoch: int, found: Evaluation, validation: Split, model: nn.Module) -> dict[str, Any]:
        """Evaluate an epoch (1-based) for selection, keeping the best weights; returns its entries for metrics.jsonl."""
        row: dict[str, Any] = {}
        if self.groups is not None and validation.groups is not None:
            row["validation_worst_group"] = group_accuracy(found.prediction, validation, self.groups).worst
        value: float | None = found.accuracy
        if self._by.name == "worst_group":
            value = row.get("validation_worst_group")
        elif self._by.name != "accuracy":
            value = self._by.of(Answers.of(found.prediction, found.probability, validation))
            row[f"validation_{self._by.name}"] = value
        value = found.accuracy if value is None else value
        if self.select != "last" and (not self.epoch or self._by.score(value) > self._by.score(self.best)):
            self.best, self.epoch = value, epoch
            self.weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        return row

    @property
    def _by(self) -> Metric:
        return metric_of("worst_group" if self.select == "worst_group" else self.metric, self.kind)

    def stopped(self, epoch: int) -> bool:
        """Whether `patience` epochs of this stage have passed since its best one."""
        return self.patience is not None and self.epoch > 0 and epoch - self.epoch >= self.patience

    def end_stage_one(self, epoch: int) -> None:
        """End stage one after this epoch; the refinement chooses among its own epochs."""
        self.ended = (epoch, self.epoch or epoch)
        self.best, self.epoch, self.weights = -1.0, 0, {}

    def restore(self, model: nn.Module) -> None:
        """Load the selected epoch's weights into the model."""
        if self.weights:
            model.load_state_dict(self.weights)

    def notes(self, last: int) -> list[str]:
        """Notes on which epochs' networks the figures are of; none if each stage kept its last."""
        said = []
        by = "validation accuracy" if self._by.name == "accuracy" else f"{self._by.title} on the validation part"
        if self.ended is not None and self.patience is not None and self.ended[0] - self.ended[1] >= self.patience:
            said.append(f"stage one ended after epoch {self.ended[0]}: no better {by} for {self.patience} epochs")
        if self.select != "last" and self.epoch:
            before = "" if self.ended is None else f"; before refinement that of epoch {self.ended[1]}"
            said.append(
                f"the network is that of epoch {self.epoch} of {last}, chosen by {by} ({self.best:.2f} {self._by.unit}){before}"
            )
        return said

    def outcome(self) -> dict[str, Any]:
        """For result.json: the criterion, the chosen epoch (1-based) and its validation figure, in the unit of the metric, which is
        named unless it is accuracy."""
        named = {} if self._by.name == "accuracy" else {"metric": self._by.name}
        return {"by": self.select, **named, "epoch": self.epoch, "validation": self.best}

    def state(self) -> dict[str, Any]:
        return {"best": self.best, "epoch": self.epoch, "ended": self.ended}

    def load(self, state: dict[str, Any], weights: dict[str, Tensor]) -> None:
        """Restore the state from a checkpoint."""
        self.best, self.epoch, self.weights = state["best"], state["epoch"], weights
        ended = state.get("ended")  # older checkpoints do not have it
        self.ended = None if ended is None else (ended[0], ended[1])
