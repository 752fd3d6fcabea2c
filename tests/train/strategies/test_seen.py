"""Every strategy declares the views that its steps read, so that pictures show what the network saw."""

import pytest
import torch
from torch import Tensor, nn

import augury
from augury.core import registry
from augury.train.strategies.strategy import Seen

# What these take beside plain classifiers and labelled images; their tests read their views.
ELSEWHERE = {"reid", "clamp", "group_dro"}


class Pooled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(1, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(images.mean((2, 3)))


@pytest.mark.parametrize("name", sorted(set(registry.names("strategy")) - ELSEWHERE - {"manifold_mixup"}))
def test_the_views_that_a_strategy_declares_are_those_it_reads(name: str) -> None:
    # Catches a view added to the loss and not to the pictures, or another pipeline than is shown.
    strategy = augury.strategy(name)
    read: list[tuple[int, int, str]] = []

    def views(view: int = 0, pipeline: int = 0, stream: str = "train") -> augury.Batch:
        read.append((view, min(pipeline, strategy.pipelines + len(strategy.chains) + len(strategy.stages) - 1), stream))
        targets = augury.Targets.of(torch.tensor([0, 2, 1, 1]), 3)
        return augury.Batch(torch.rand(4, 1, 4, 4), targets if stream == "train" else None, torch.arange(4))

    networks = [Pooled() for _ in range(strategy.networks)]
    model = networks[0] if strategy.networks == 1 else nn.ModuleList(networks)
    for turn in range(strategy.turns):
        strategy(model, views, turn=turn)
    assert [(each.view, each.pipeline, each.stream) for each in strategy.seen] == read


def test_labels_are_told_apart() -> None:
    for name in registry.names("strategy"):
        seen = augury.strategy(name).seen
        assert len({each.label for each in seen}) == len(seen) and isinstance(seen[0], Seen)
