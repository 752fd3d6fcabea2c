"""Unsupervised data augmentation: an unlabelled image and its augmented copy should get the same prediction."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional

from augury.core.errors import InputError
from augury.core.options import Chain, Interval, Spec
from augury.core.registry import register
from augury.train.strategies.strategy import Seen, Step, Strategy, Views


@dataclass
class Uda(Strategy):
    """See `uda`."""

    weight: float
    temperature: float
    confidence: float
    stream_ratio: int
    chains: tuple[Chain, ...]
    streams: tuple[str, ...] = ("train", "unlabelled")
    seen: tuple[Seen, ...] = field(init=False)

    def __post_init__(self) -> None:
        unlabelled = (Seen("unlabelled, weak", 0, 1, "unlabelled"), Seen("unlabelled, strong", 1, 0, "unlabelled"))
        self.seen = (Seen("labelled", 0, 1), *(unlabelled if self.weight else ()))

    def __call__(self, model: nn.Module, views: Views, *, program: Hashable = None, turn: int = 0) -> Step:
        labelled = views(0, 1)
        if labelled.targets is None:
            raise InputError("strategy: uda needs labels in its `train` stream")
        if self.weight == 0:
            losses = labelled.targets.loss(model(labelled.images))
            return Step(losses.mean(), per_sample=losses.detach())
        weak, strong = views(0, 1, "unlabelled"), views(1, 0, "unlabelled")
        logits = model(torch.cat([labelled.images, weak.images, strong.images]))
        own, other, augmented = logits.split([len(labelled), len(weak), len(strong)])
        losses = labelled.targets.loss(own)
        apart, confident = consistency(other, augmented, self.temperature, self.confidence)
        logs = {
            "classification": losses.mean().detach(),
            "consistency": apart.mean().detach(),
            "confident": confident.float().mean(),
        }
        return Step(losses.mean() + self.weight * apart.mean(), logs, losses.detach())


def consistency(weak: Tensor, strong: Tensor, temperature: float, confidence: float) -> tuple[Tensor, Tensor]:
    """KL(p(weak) || p(strong)) per row in nats, float32 [B], 0 for rows that are not confident; and which rows are, bool [B].

    weak, strong: logits [B,classes]. weak is sharpened by the temperature and gets no gradient; a row is confident if its
    largest probability, before sharpening, is above `confidence` (0: always).
    """
    with torch.no_grad():
        target = functional.log_softmax(weak.float() / temperature, 1)
        confident = functional.softmax(weak.float(), 1).amax(1) > confidence
    apart = functional.kl_div(functional.log_softmax(strong.float(), 1), target, reduction="none", log_target=True).sum(1)
    return torch.where(confident, apart, 0.0), confident


@register("strategy", "uda", source="Xie et al. 2020 (arXiv:1904.12848), sections 2.2 and 2.3, and its released code")
def uda(
    *,
    weight: Annotated[float, Interval(0)] = 1.0,
    temperature: Annotated[float, Interval(1e-3, 10)] = 0.4,
    confidence: Annotated[float, Interval(0, 0.9999)] = 0.8,
    ratio: Annotated[int, Interval(1, 64)] = 7,
    weak: Chain = Chain((Spec("standard"),)),  # noqa: B008 (immutable)
) -> Strategy:
    """Semi-supervised training: cross-entropy of the labelled images plus a penalty on predictions that augmentation changes.

    The training's augmentation is the strong one, for unlabelled images only; labelled images, and the unlabelled ones whose
    predictions are the targets, are augmented with `weak`. All three go through the network in one pass. temperature=1 and
    confidence=0 give the formula of the paper's text. weight=0 is plain training on `weak`.
    """
    return Uda(weight, temperature, confidence, ratio, (weak,))
