"""CLAMP: group DRO within each class, and consistent predictions for an image's translations to the subgroups of its class."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from augury.core.errors import InputError
from augury.core.options import Interval
from augury.core.registry import register
from augury.train.data.groups import Groups
from augury.train.strategies.group_dro import Adjustment, GroupWeights, StepSize, group_means
from augury.train.strategies.strategy import Step, Strategy, Views

Consistency = Literal["clamp", "jsd", "kl", "reverse_kl"]
STREAM = "translated"


def consistency(original: Tensor, translated: Tensor, valid: Tensor, kind: Consistency = "clamp") -> Tensor:
    """The divergence of an image's prediction from those of its translations in nats, float32 [B].

    original: logits [B,C]. translated: logits [B,K,C] of its translations. valid: bool [B,K], which of them exist; rows
    with fewer than two give 0. With p0 the image's prediction, p1 .. pK those of its translations, and m the mean of p1 .. pK:

    clamp: KL(p0 || m) / 2 + JS(p1 .. pK) / 2, where JS = mean KL(pk || m) lies in [0, ln K] (Goel et al. 2021, section 3.3;
    for K = 2 KL(p0||m)/2 + KL(p1||m)/4 + KL(p2||m)/4). KL(p0 || m) is bounded only by the range of the logits plus ln C.
    reverse_kl: the same with the arguments of every KL exchanged. jsd: Jensen-Shannon divergence of p0 .. pK, as in AugMix
    (arXiv:1912.02781, section 3). kl: sum of KL(p0 || pk).
    Computed in log space: the original code clips probabilities at 1e-7, which stops gradients. Gradients flow through all
    terms.
    """
    log_p0 = functional.log_softmax(original.float(), 1)
    log_pk = functional.log_softmax(translated.float(), 2)
    weight = valid.to(log_p0.dtype)
    number = weight.sum(1)
    share = weight / number.clamp(min=1)[:, None]
    log_m = _log_mean(log_pk, share)
    if kind == "clamp":
        found = 0.5 * _kl(log_p0, log_m) + 0.5 * (share * _kl(log_pk, log_m[:, None])).sum(1)
    elif kind == "reverse_kl":
        found = 0.5 * _kl(log_m, log_p0) + 0.5 * (share * _kl(log_m[:, None], log_pk)).sum(1)
    elif kind == "kl":
        found = (weight * _kl(log_p0[:, None], log_pk)).sum(1)
    else:
        every = torch.cat([log_p0[:, None], log_pk], 1)
        share = torch.cat([torch.ones_like(number)[:, None], weight], 1) / (number + 1)[:, None]
        found = (share * _kl(every, _log_mean(every, share)[:, None])).sum(1)
    return torch.where(number > 1, found, 0.0)


def irm_penalty(logits: Tensor, labels: Tensor, cells: Tensor, count: int) -> Tensor:
    """Sum over groups of the squared derivative of the mean cross-entropy with respect to a factor on the logits, at 1.

    IRMv1, Arjovsky et al. 2019, arXiv:1907.02893, section 3.1. In closed form: the mean of sum_c (p_c - y_c) logit_c.
    """
    logits = logits.float()
    each = (logits.softmax(1) * logits).sum(1) - logits.gather(1, labels[:, None])[:, 0]
    slopes, _ = group_means(each, cells, count)
    return slopes.square().sum()


def _log_mean(log_p: Tensor, share: Tensor) -> Tensor:
    """log of the weighted mean over dimension 1; [B,K,C] and [B,K] to [B,C]. Rows whose shares are all 0 are finite, too."""
    # -1e4 rather than -inf, so that a missing translation does not make the gradient of the others NaN.
    log_weight = torch.where(share > 0, share.clamp(min=1e-30).log(), -1e4)
    return torch.logsumexp(log_p + log_weight[..., None], 1)


def _kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    return (log_p.exp() * (log_p - log_q)).sum(-1)


@dataclass
class Clamp(Strategy):
    """The strategy; see `clamp`."""

    weights: GroupWeights
    weight: float
    kind: Consistency
    irm: float
    streams: tuple[str, ...] = ("train", STREAM)

    needs_groups = True

    def begin(self, groups: Groups) -> None:
        """Set the groups of the data; called by the host before the first step."""
        self.weights.begin(groups)

    def __call__(self, model: nn.Module, views: Views, *, program: Hashable = None, turn: int = 0) -> Step:
        batch, translated = views(), views(stream=STREAM)
        labels, cells = self.weights.cells(batch, "clamp")
        groups = self.weights.groups
        if batch.targets is None or groups is None:
            raise InputError("--strategy: clamp needs data with labels and groups")
        # One forward pass for all, so that batch normalisation sees originals and translations mixed.
        logits = model(torch.cat([batch.images, translated.images]))
        original, others = logits[: len(batch)], logits[len(batch) :]
        others = others.reshape(len(batch), -1, logits.shape[1])
        losses = batch.targets.loss(original)
        robust, means = self.weights.loss(losses, cells)
        apart = consistency(original, others, self._valid(labels, others.shape[1], groups), self.kind)
        per_group, _ = group_means(apart, cells, len(groups))
        agreement = per_group.sum()
        loss = robust + self.weight * agreement
        if self.irm:
            loss = loss + self.irm * irm_penalty(original, labels, cells, len(groups))
        logs = {"worst_group_loss": means.detach().max(), "consistency": agreement.detach()}
        return Step(loss, logs=logs, per_sample=losses.detach())

    def state_dict(self) -> dict[str, Any]:
        return self.weights.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.weights.load_state_dict(state)

    def _valid(self, labels: Tensor, count: int, groups: Groups) -> Tensor:
        """bool [B,K]: an image of a class with n subgroups has its first n translations, or none if n is 1."""
        trained = groups.counts > 0
        numbers = torch.bincount(groups.classes[trained], minlength=len(groups.class_names)).to(labels.device)
        number = numbers[labels][:, None]
        return (torch.arange(count, device=labels.device) < number) & (number > 1)


@register("strategy", "clamp", source="Goel et al. 2021, arXiv:2008.06775, section 3 (CAMEL; called CLAMP in the authors' summary)")
def clamp(
    *,
    weight: Annotated[float, Interval(0)] = 5.0,
    consistency: Consistency = "clamp",
    class_conditional: bool = True,
    adjustment: Adjustment = 1.0,
    step_size: StepSize = 0.01,
    irm: Annotated[float, Interval(0)] = 0.0,
) -> Strategy:
    """Group DRO within each class, with predictions that agree over learned translations between subgroups."""
    return Clamp(GroupWeights(class_conditional, adjustment, step_size), weight, consistency, irm)
