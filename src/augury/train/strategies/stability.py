"""Smoothness of predictions over transformations: several passes of an image should get the same prediction."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional

from augury.core.options import Chain, Interval, Spec
from augury.core.registry import register
from augury.train.strategies.strategy import Seen, Step, Strategy, Views, labels_of

CLEAN = Chain((Spec("none"),))


@dataclass
class Stability(Strategy):
    """See `stability`."""

    weight: float
    passes: int
    stream_ratio: int
    chains: tuple[Chain, ...] = (CLEAN,)
    streams: tuple[str, ...] = field(init=False)
    seen: tuple[Seen, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.streams = ("train", "unlabelled") if self.stream_ratio and self.weight else ("train",)
        names = {"train": "", "unlabelled": "unlabelled, "}
        first = Seen("pass 1")
        more = [
            each
            for stream in self.streams
            for each in (
                *(Seen(f"{names[stream]}pass {n + 1}", n, 0, stream) for n in range(self.passes)),
                Seen(f"{names[stream]}clean", 0, 1, stream),
            )
        ]
        self.seen = tuple(more) if self.weight else (first,)
        self.stream_ratio = max(1, self.stream_ratio)

    def __call__(self, model: nn.Module, views: Views, *, program: Hashable = None, turn: int = 0) -> Step:
        batches = [views(each.view, each.pipeline, each.stream) for each in self.seen]
        targets = labels_of(batches[0], "stability")
        logits = model(torch.cat([each.images for each in batches])).split([len(each) for each in batches])
        losses = targets.loss(logits[0])
        if not self.weight:
            return Step(losses.mean(), per_sample=losses.detach())
        each = len(self.seen) // len(self.streams)
        rows = [spread(torch.stack(logits[start : start + each])) for start in range(0, len(logits), each)]
        smoothness = torch.cat(rows).mean()
        logs = {"classification": losses.mean().detach(), "smoothness": smoothness.detach()}
        return Step(losses.mean() + self.weight * smoothness, logs, losses.detach())


def spread(logits: Tensor) -> Tensor:
    """The mean squared distance between predictions over all pairs of passes: logits [P,B,classes] to float32 [B].

    Sajjadi et al. 2016 (arXiv:1606.04586), equation 1, divided by the number of pairs; from sums and squares, not pair by pair.
    """
    predicted = functional.softmax(logits.float(), 2)
    count = len(predicted)
    pairs = count * predicted.square().sum((0, 2)) - predicted.sum(0).square().sum(1)
    return pairs / (count * (count - 1) / 2)


@register(
    "strategy", "stability", source="Sajjadi et al. 2016 (arXiv:1606.04586), equation 1; Ratner et al. 2017 (TANDA), released code"
)
def stability(
    *,
    weight: Annotated[float, Interval(0)] = 1.0,
    passes: Annotated[int, Interval(1, 64)] = 5,
    ratio: Annotated[int, Interval(0, 64)] = 0,
) -> Strategy:
    """Cross-entropy of one augmented pass, plus `weight` times the distance between predictions for the same image.

    Every image goes through the network `passes` times with independent draws and once clean; the distance is the squared
    distance of softmax predictions, averaged over all pairs of passes and the batch. ratio: unlabelled images per labelled
    one, which add to the distance but not to the cross-entropy; with few labels (`--labels`) they are all training images.
    TANDA's released code has this term with 5 passes, but weight 0 in its configurations, which is plain training. The
    original sums over the pairs and uses only the transformed passes; TANDA's code adds the clean one.
    """
    return Stability(weight, passes, ratio)
