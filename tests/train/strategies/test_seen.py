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


SHOWN = {
    "erm": ("",),
    "ait": ("first view", "second view"),
    "multi_ait": ("network 1", "network 2"),
    "augmix_jsd": ("classified", "first copy", "second copy"),
    "uda": ("labelled", "unlabelled, weak", "unlabelled, strong"),
    "uda(weight=0)": ("labelled",),
    "stability(passes=2)": ("pass 1", "pass 2", "clean"),
    "stability(passes=1, ratio=2)": ("pass 1", "clean", "unlabelled, pass 1", "unlabelled, clean"),
    "stability(weight=0)": ("pass 1",),
    "uncertainty(candidates=2)": ("candidate 1", "candidate 2"),
    "adversarial_autoaugment(policies=2)": ("policy 1", "policy 2"),
}


@pytest.mark.parametrize(("text", "labels"), SHOWN.items())
def test_pictures_say_what_a_view_is_for(text: str, labels: tuple[str, ...]) -> None:
    assert tuple(each.label for each in augury.strategy(text).seen) == labels


def test_strategies_with_views_of_two_kinds_take_two_pipelines() -> None:
    """`--augment2` is theirs; a third pipeline would be built for nothing, and with one the second would be lost."""
    found = {name: augury.strategy(name).pipelines for name in registry.names("strategy")}
    assert {name for name, number in found.items() if number == 2} == {"ait", "multi_ait", "augmix_jsd"}
    assert set(found.values()) == {1, 2}


def test_views_are_numbered_by_draw_pipeline_and_stream() -> None:
    def read(text: str) -> list[tuple[int, int, str]]:
        return [(each.view, each.pipeline, each.stream) for each in augury.strategy(text).seen]

    assert read("ait") == [(0, 0, "train"), (1, 1, "train")]
    assert read("multi_ait(networks=3)") == [(k, k, "train") for k in range(3)]
    assert read("augmix_jsd") == [(0, 0, "train"), (1, 1, "train"), (2, 1, "train")]
    assert read("uda") == [(0, 1, "train"), (0, 1, "unlabelled"), (1, 0, "unlabelled")]
    assert read("stability(passes=2, ratio=1)") == [
        (view, pipeline, stream) for stream in ("train", "unlabelled") for view, pipeline in ((0, 0), (1, 0), (0, 1))
    ]
    assert read("uncertainty(candidates=3)") == [(k, 0, "train") for k in range(3)]
    assert read("adversarial_autoaugment(policies=2)") == [(0, 0, "train"), (1, 1, "train")]
    assert read("adversarial_autoaugment(policies=2, share_base=true)") == [(0, 0, "train"), (0, 1, "train")]


def test_unlabelled_images_are_read_in_the_ratio_asked_for() -> None:
    for text, streams, ratio in (
        ("uda", ("train", "unlabelled"), 7), ("uda(ratio=3, weight=0)", ("train", "unlabelled"), 3),
        ("stability", ("train",), 1), ("stability(ratio=5)", ("train", "unlabelled"), 5),
        ("stability(ratio=5, weight=0)", ("train",), 5), ("clamp", ("train", "translated"), 1),
    ):  # fmt: skip
        made = augury.strategy(text)
        assert (made.streams, made.stream_ratio) == (streams, ratio), text
