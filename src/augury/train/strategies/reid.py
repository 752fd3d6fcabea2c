"""Re-identification: classify the person, and bring images of one person closer to each other than to other people's."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from augury.core.errors import InputError
from augury.core.options import Interval
from augury.core.registry import register
from augury.train.strategies.strategy import Step, Strategy, Views


class Centres(nn.Module):
    """The centre of each identity's features, float32 [classes, D]; updated by a rule of its own, not by the optimiser."""

    centres: Tensor

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.register_buffer("centres", torch.zeros(classes, width))

    def distances(self, features: Tensor, labels: Tensor) -> Tensor:
        """float32 [B]: the squared distance of every row from its identity's centre."""
        return (features.float() - self.centres[labels]).square().sum(1)

    @torch.no_grad()
    def move(self, features: Tensor, labels: Tensor, rate: float) -> None:
        """Move each centre by `rate` times the sum of its rows' offsets over their number plus 1 (Wen et al. 2016, equation 4)."""
        offsets = self.centres[labels] - features.detach().float()
        sums = torch.zeros_like(self.centres).index_add_(0, labels, offsets)
        counts = torch.zeros_like(self.centres[:, :1]).index_add_(0, labels, torch.ones_like(offsets[:, :1]))
        self.centres -= rate * sums / (1 + counts)


@dataclass
class Reid(Strategy):
    """See `reid`. centres: created by `modules`, for the network's features."""

    margin: float
    triplet: float
    smoothing: float
    images_per_class: int
    centre: float = 0.0
    centre_rate: float = 0.5
    centres: Centres | None = None

    def modules(self, model: nn.Module) -> dict[str, nn.Module]:
        if not isinstance(getattr(model, "bottleneck", None), nn.BatchNorm1d):
            raise InputError("--strategy: reid needs a network with a BNNeck; write --model bnneck(resnet18)")
        if self.centre == 0:
            return {}
        head: Any = model.head
        self.centres = Centres(head.out_features, head.in_features)
        return {"centres": self.centres}

    def __call__(self, model: nn.Module, views: Views, *, program: Hashable = None, turn: int = 0) -> Step:
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
        loss = identity.mean() + self.triplet * apart.mean()
        if self.centres is not None:
            from_centre = self.centres.distances(features[-1], batch.targets.top()).mean()
            loss = loss + self.centre * from_centre
            logs["centre"] = from_centre.detach()
            self.centres.move(features[-1], batch.targets.top(), self.centre_rate)
        return Step(loss, logs, identity.detach())


def batch_hard(features: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Per row, float32 [B]: distance to the farthest of its class minus that to the nearest of another, plus margin, at least 0.

    features: [B,D], compared by Euclidean distance; labels: int64 [B]. A row without another of its class, or without
    one of another class, gives 0.
    """
    values = features.float()
    # Not cdist: in some versions of PyTorch its gradient is NaN where two features are equal.
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
    source="Luo et al. 2019 (arXiv:1903.07071), section 3; batch-hard triplets: Hermans et al. 2017 (arXiv:1703.07737); "
    "centre loss: Wen et al. 2016 (ECCV)",
)
def reid(
    *,
    smoothing: Annotated[float, Interval(0, 0.999)] = 0.1,
    margin: Annotated[float, Interval(0)] = 0.3,
    triplet: Annotated[float, Interval(0)] = 1.0,
    images_per_class: Annotated[int, Interval(2)] = 4,
    centre: Annotated[float, Interval(0)] = 5e-4,
    centre_rate: Annotated[float, Interval(0, 1)] = 0.5,
) -> Strategy:
    """Re-identification: smoothed cross-entropy of the identity, batch-hard triplets and the centre loss, on P identities of
    K images each.

    K is images_per_class and P the batch size over K. Triplets and centres use the features before the BNNeck, the identity
    those after it. The centre loss is `centre` times the mean squared distance of the features from their identity's
    centre, as in the released code (the paper's equation has half the sum); the centres are updated by the rule of Wen et
    al. at `centre_rate`. centre=0 omits this loss.
    """
    return Reid(margin, triplet, smoothing, images_per_class, centre, centre_rate)
