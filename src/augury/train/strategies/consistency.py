"""Shared by the consistency strategies: joining views into one batch, and a loss with a penalty on disagreement."""

from collections.abc import Callable
from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional

from augury.core.options import Interval
from augury.core.targets import Targets
from augury.train.strategies.strategy import Step

Weight = Annotated[float, Interval(0)]
Networks = Annotated[int, Interval(2, 16)]


def with_consistency(classification: Tensor, weight: float, distance: Callable[[], Tensor], per_sample: Tensor) -> Step:
    """classification + weight x distance(), both logged.

    With weight 0 the loss is `classification` alone and the distance is only logged, so that training is bit-identical to
    plain training.
    """
    if weight == 0:
        with torch.no_grad():
            apart = distance()
        loss = classification
    else:
        apart = distance()
        loss = classification + weight * apart
    return Step(loss, {"classification": classification.detach(), "consistency": apart.detach()}, per_sample.detach())


def concat_views(parts: list[tuple[Tensor, Targets]]) -> tuple[Tensor, Targets]:
    """Concatenate views into one batch; a view with fewer labels per row is padded with labels of weight 0."""
    wide = max(targets.index.shape[1] for _, targets in parts)

    def widened(labels: Tensor) -> Tensor:
        return functional.pad(labels, (0, wide - labels.shape[1]))

    index = torch.cat([widened(targets.index) for _, targets in parts])
    weight = torch.cat([widened(targets.weight) for _, targets in parts])
    return torch.cat([images for images, _ in parts]), Targets(index, weight, parts[0][1].classes)
