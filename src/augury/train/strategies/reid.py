"""Re-identification: who is it, and nearer to the same person than to anybody else."""

from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from augury.core.errors import InputError
from augury.core.options import Interval
from augury.core.registry import register
from augury.train.strategies.strategy import Step, Strategy, Views


@dataclass
class Reid(Strategy):
    """See `reid`."""

    margin: float
    triplet: float
    smoothing: float
    images_per_class: int

    def modules(self, model: nn.Module) -> dict[str, nn.Module]:
        if not isinstance(getattr(model, "bottleneck", None), nn.BatchNorm1d):
            raise InputError("--strategy: reid needs a network with a BNNeck; write --model bnneck(resnet18)")
        return {}

    def __call__(self, model: nn.Module, views: Views, *, program: Any = None, turn: int = 0) -> Step:
        batch = views()
        if batch.targets is None:
            raise InputError("strategy: reid needs labels")
        features: list[Tensor] = []
        bottleneck: Any = model.bottleneck
        handle = bottleneck.register_forward_pre_hook(lambda module, given: features.append(given[0]))
        try:
            logits = model(batch.images)
        finally:
            handle.remove()
        identity = batch.targets.loss(logits, self.smoothing)
        apart = batch_hard(features[-1], batch.targets.top(), self.margin)
        logs = {"identity": identity.mean().detach(), "triplet": apart.mean().detach()}
        return Step(identity.mean() + self.triplet * apart.mean(), logs, identity.detach())


def batch_hard(features: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Per row, float32 [B]: how far the farthest of its own class is beyond the nearest of another, plus the margin, at least 0.

    features: [B,D], compared by Euclidean distance; labels: int64 [B]. A row without a partner of its class, or without
    one of another class, gives 0.
    """
    values = features.float()
    # Not cdist: its gradient where two features agree is not a number in every version.
    square = (values[:, None] - values).square().sum(2)
    distance = torch.where(square > 0, square.clamp(min=1e-12).sqrt(), 0.0)
    same = labels[:, None] == labels
    other = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    farthest = torch.where(same & ~other, distance, -torch.inf).amax(1)
    nearest = torch.where(same, torch.inf, distance).amin(1)
    found = (farthest > -torch.inf) & (nearest < torch.inf)
    gap = torch.where(found, farthest, 0.0) - torch.where(found, nearest, 0.0)
    return torch.where(found, functional.relu(gap + margin), 0.0)


@register(
    "strategy",
    "reid",
    source="Luo et al. 2019 (arXiv:1903.07071), section 3; batch-hard triplets: Hermans et al. 2017 (arXiv:1703.07737)",
)
def reid(
    *,
    smoothing: Annotated[float, Interval(0, 0.999)] = 0.1,
    margin: Annotated[float, Interval(0)] = 0.3,
    triplet: Annotated[float, Interval(0)] = 1.0,
    images_per_class: Annotated[int, Interval(2)] = 4,
) -> Strategy:
    """Re-identification: smoothed cross-entropy of the identity plus batch-hard triplets, on P identities of K images each.

    K is images_per_class and P the batch size over K. The triplets are taken of the features before the BNNeck, the
    identity after it.
    """
    return Reid(margin, triplet, smoothing, images_per_class)
