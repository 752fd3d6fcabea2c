"""The smoothness term: pair by pair, with and without unlabelled images, and not at all."""

from itertools import combinations

import pytest
import torch
from torch import Tensor, nn

import augury
from augury.train.data.dataset import load
from augury.train.engine.prepare import prepare
from augury.train.engine.run import Trainer
from augury.train.engine.settings import Settings
from augury.train.strategies.stability import spread


def test_the_distance_is_the_mean_over_pairs() -> None:
    # Catches a distance to the mean, a sum over pairs, and one of logits.
    logits = torch.randn(6, 7, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3
    p = logits.softmax(2)
    pairs = torch.stack([(p[j] - p[k]).square().sum(1) for j, k in combinations(range(6), 2)])
    torch.testing.assert_close(spread(logits).double(), pairs.mean(0), rtol=1e-5, atol=1e-6)
    assert spread(logits[:1].expand(6, 7, 4)).abs().max() < 1e-5


def test_unlabelled_images_count_in_the_distance_alone() -> None:
    weight = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3, bias=False))
    model[1].weight.data = weight
    images: dict[tuple[int, int, str], Tensor] = {}

    def views(view: int = 0, pipeline: int = 0, stream: str = "train") -> augury.Batch:
        count = 2 if stream == "train" else 4
        made = torch.randn(count, 1, 2, 2, generator=torch.Generator().manual_seed(10 * view + pipeline + 100 * len(stream)))
        images[view, pipeline, stream] = made
        targets = augury.Targets.of(torch.tensor([0, 2]), 3) if stream == "train" else None
        return augury.Batch(made, targets, torch.arange(count))

    step = augury.strategy("stability", weight=2, passes=2, ratio=2)(model, views)
    logits = {key: made.flatten(1) @ weight.T for key, made in images.items()}
    order = [(0, 0), (1, 0), (0, 1)]
    rows = [spread(torch.stack([logits[*place, stream] for place in order])) for stream in ("train", "unlabelled")]
    expected = nn.functional.cross_entropy(logits[0, 0, "train"], torch.tensor([0, 2])) + 2 * torch.cat(rows).mean()
    assert step.loss.item() == pytest.approx(expected.item(), abs=1e-5)
    assert step.logs["smoothness"].item() == pytest.approx(torch.cat(rows).mean().item(), abs=1e-6)


def test_weight_0_is_plain_training_and_labels_are_not_needed_for_all() -> None:
    def weights(strategy: str, **more: object) -> list[Tensor]:
        values = {
            "data": "digits",
            "augment": "crop",
            "strategy": strategy,
            "epochs": 1,
            "batch_size": 128,
            "fraction": 0.3,
            **more,
        }
        training = prepare(Settings.of(values, "test"), load("digits"))
        Trainer(training).train_epoch()
        return [p.detach() for p in training.model.parameters()]

    plain = weights("erm")
    assert all(a.equal(b) for a, b in zip(plain, weights("stability(weight=0)"), strict=True))
    assert not any(a.equal(b) for a, b in zip(plain, weights("stability(passes=2)"), strict=True))
    assert all(p.isfinite().all() for p in weights("stability(passes=2,ratio=1)", labels=50, batch_size=25))
