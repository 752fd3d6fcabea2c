"""Group DRO: minimise the loss of the worst group, by weights that follow the groups' losses."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.options import Interval
from augury.core.processes import process_count, summed
from augury.core.registry import register
from augury.train.data.groups import Groups
from augury.train.strategies.strategy import Step, Strategy, Views

StepSize = Annotated[float, Interval(0, 10)]
Adjustment = Annotated[float, Interval(0)]


@dataclass
class GroupWeights:
    """Exponentiated-gradient weights over all groups, or over the groups of each class.

    After every step a group's log-weight rises by step_size * (its loss + adjustment / sqrt(its training images)); groups
    that are missing from a batch keep theirs. Losses enter the weights detached, as in Sagawa et al.'s code (Goel et al.'s
    lets a tiny gradient through). Weights sum to 1 over all groups, or over the groups of each class, which is then weighted
    by its share of the groups.
    """

    class_conditional: bool = False
    adjustment: float = 0.0
    step_size: float = 0.01
    groups: Groups | None = None
    log_weight: Tensor = field(default_factory=lambda: torch.zeros(0))

    def begin(self, groups: Groups) -> None:
        """Start with equal weights for the groups of a data set."""
        self.groups = groups
        self.log_weight = torch.zeros(len(groups))

    @property
    def margin(self) -> Tensor:
        """float32 [G]: adjustment / sqrt(training images), 0 for a group without any."""
        counts = self._known().counts
        return torch.where(counts > 0, self.adjustment / counts.clamp(min=1).to(torch.float32).sqrt(), 0.0)

    def weights(self) -> Tensor:
        """float32 [G]: the weights, 0 for groups without training images; they sum to 1, or to 1 within each class."""
        groups = self._known()
        device = self.log_weight.device
        logits = self.log_weight.masked_fill(groups.counts.to(device) == 0, -torch.inf)
        if not self.class_conditional:
            return logits.softmax(0)
        same = groups.classes[:, None] == groups.classes
        table = logits[None].masked_fill(~same.to(device), -torch.inf)
        return (logits - table.logsumexp(1)).exp().nan_to_num(0.0)

    def shares(self) -> Tensor:
        """float32 [G]: the weight of each group's class, its share of the groups; 1 if all groups share one softmax."""
        groups = self._known()
        if not self.class_conditional:
            return torch.ones(len(groups))
        trained = (groups.counts > 0).to(torch.float32)
        same = (groups.classes[:, None] == groups.classes).to(torch.float32)
        return (same @ trained) / trained.sum()

    def loss(self, losses: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Update the weights; returns the robust loss (a scalar) and the groups' mean losses [G], 0 for absent groups.

        losses: float [B]; cells: int64 [B], the group of each image.
        """
        device = losses.device
        means, present = group_means(losses, cells, len(self._known()))
        adjusted = means + self.margin.to(device)
        gain = self.step_size * adjusted.detach()
        self.log_weight = self.log_weight.to(device) + torch.where(present, gain, 0.0)
        # Only differences matter: otherwise the values would grow with every step until float32 loses precision.
        self.log_weight = self.log_weight - self.log_weight.max()
        weight = self.weights() * self.shares().to(device)
        return (weight * torch.where(present, adjusted, 0.0)).sum(), means

    def cells(self, batch: Batch, name: str) -> tuple[Tensor, Tensor]:
        """Labels and groups of a batch, int64 [B] each; InputError if it lacks them."""
        if batch.targets is None or batch.groups is None:
            raise InputError(f"--strategy: {name} needs data with labels and groups")
        targets = batch.targets
        labels = targets.index[:, 0] if targets.index.shape[1] == 1 else targets.top()  # the heaviest if smoothed or mixed
        return labels, self._known().of(labels, batch.groups)

    def state_dict(self) -> dict[str, Any]:
        return {"log_weight": self.log_weight.tolist()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.log_weight = torch.tensor(state["log_weight"], dtype=torch.float32)

    def _known(self) -> Groups:
        if self.groups is None:
            raise InputError("--strategy: needs data with groups; call begin(groups) before the first step")
        return self.groups


def group_means(values: Tensor, cells: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The mean of float `values` [B] per group, [count], 0 for a group without rows; and which groups have rows, bool [count].

    Over all processes that train together: the value is the mean over the whole step; the gradient is this process's part of
    it, times the step's rows over its own, since hosts weight a process's loss by its share of the images. Rows with cell -1
    are ignored.
    """
    member = (cells[:, None] == torch.arange(count, device=cells.device)).to(values.dtype)
    size, total = member.sum(0), (values[:, None] * member).sum(0)
    if process_count() == 1:
        return total / size.clamp(min=1), size > 0
    every_total, every_size = summed(torch.cat([total.detach(), size])).split(count)
    parts = every_size.sum() / size.sum().clamp(min=1)
    own = total / every_size.clamp(min=1) * parts
    return every_total / every_size.clamp(min=1) + (own - own.detach()), every_size > 0


@dataclass
class GroupDro(Strategy):
    """The strategy; see `group_dro`."""

    weights: GroupWeights
    needs_groups = True

    def begin(self, groups: Groups) -> None:
        """Set the groups of the data; called by the host before the first step."""
        self.weights.begin(groups)

    def __call__(self, model: nn.Module, views: Views, *, program: Hashable = None, turn: int = 0) -> Step:
        batch = views()
        _, cells = self.weights.cells(batch, "group_dro")
        assert batch.targets is not None
        losses = batch.targets.loss(model(batch.images))
        loss, means = self.weights.loss(losses, cells)
        return Step(loss, logs={"worst_group_loss": means.detach().max()}, per_sample=losses.detach())

    def state_dict(self) -> dict[str, Any]:
        return self.weights.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.weights.load_state_dict(state)


@register(
    "strategy", "group_dro",
    source="Sagawa et al. 2020, arXiv:1911.08731, section 3.3; class-conditional: Goel et al. 2021, arXiv:2008.06775, section 3.3",
)  # fmt: skip
def group_dro(*, class_conditional: bool = False, adjustment: Adjustment = 0.0, step_size: StepSize = 0.01) -> Strategy:
    """Minimise the loss of the worst group of the data, overall or within each class."""
    return GroupDro(GroupWeights(class_conditional, adjustment, step_size))
