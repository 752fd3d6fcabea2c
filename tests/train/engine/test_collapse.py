"""A training that ends at chance says so; one that learns, or was short, or has one common class, does not."""

import math
from typing import Any

import pytest
import torch

from augury.train.engine.collapse import collapsed

LABELS = torch.arange(200) % 10


def rows(accuracies: list[float], losses: list[float]) -> list[dict[str, Any]]:
    return [
        {"epoch": n, "validation_accuracy": a, "validation_loss": x}
        for n, (a, x) in enumerate(zip(accuracies, losses, strict=True), start=1)
    ]


def test_a_network_that_stays_at_chance_is_named_with_its_epoch() -> None:
    found = collapsed(rows([10, 40, 11, 10, 10], [2.31, 1.5, 2.4, math.log(10), 2.31]), LABELS, 10)
    assert [(each.network, each.since_epoch) for each in found] == [(1, 3)]
    assert "since epoch 3" in found[0].note(1) and "10.0 %" in found[0].note(1) and "network 1" in found[0].note(2)


@pytest.mark.parametrize(
    ("accuracies", "losses"),
    [
        ([10.0, 10.0], [2.31, 2.31]),  # too short to be judged
        ([10.0, 10.0, 10.0, 40.0], [2.31, 2.31, 2.31, 1.8]),  # has learnt after all
        ([10.0, 10.0, 12.0], [2.31, 2.31, 2.2]),  # the loss has left that of an even guess
        ([25.0, 25.0, 25.0], [2.31, 2.31, 2.31]),  # right more often than chance, if never sure of it
    ],
)
def test_what_is_no_collapse_is_not_called_one(accuracies: list[float], losses: list[float]) -> None:
    assert collapsed(rows(accuracies, losses), LABELS, 10) == []


def test_chance_is_the_most_common_class() -> None:
    labels = torch.cat([torch.zeros(160, dtype=torch.int64), torch.ones(40, dtype=torch.int64)])
    assert collapsed(rows([80.0] * 3, [0.7] * 3), labels, 2) and not collapsed(rows([95.0] * 3, [0.7] * 3), labels, 2)


def test_every_network_is_judged_by_its_own_figures() -> None:
    lines = [
        {"epoch": n, "validation_accuracy": 60.0, "validation_loss": 1.0,
         "validation_accuracies": [60.0, 10.0], "validation_losses": [1.0, 2.303]}
        for n in range(1, 5)
    ]  # fmt: skip
    assert [each.network for each in collapsed(lines, LABELS, 10)] == [2]


def test_a_loss_that_is_not_a_number_at_chance_is_a_collapse_too() -> None:
    assert collapsed(rows([10.0] * 3, [math.nan] * 3), LABELS, 10)
