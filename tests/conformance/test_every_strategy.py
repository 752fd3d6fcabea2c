"""What holds for every registered strategy: finite losses and gradients, odd batches, soft labels, resuming, weight 0."""

import inspect
from typing import Any

import hosts
import pytest
import torch
from torch import Tensor

import augury
from augury.core import registry

NAMES = registry.names("strategy")
SPREAD = torch.arange(0, 160, 23)  # of every class and group of hosts' data
every_strategy = pytest.mark.parametrize("name", NAMES)


def method_of(name: str, strategy: str = "") -> augury.Method:
    """The strategy with whatever it needs, on small networks; in its first epoch of two."""
    case = hosts.case_of(name)
    model = "bnneck(small_cnn(width=4))" if case.model.startswith("bnneck") else "small_cnn(width=4)"
    found = hosts.method_of(hosts.replace(case, strategy=strategy or case.strategy, model=model))
    found.start_epoch(0, epochs=2)
    return found


def step(method: augury.Method, name: str, rows: Tensor, labels: Tensor | None = None) -> augury.Step:
    """One step on these training images, with groups and streams as the strategy asks for them."""
    case, dataset = hosts.case_of(name), hosts.data_of(hosts.case_of(name))
    images, train = dataset.train.images, dataset.train
    assert isinstance(images, Tensor)
    more: dict[str, Any] = {}
    if case.groups and train.groups is not None:
        more["groups"] = train.groups[rows]
    if case.translated:
        more["translated"] = images[rows][:, None].flip(-1).repeat(1, 2, 1, 1, 1)
    if case.unlabelled:
        others = (rows + 80) % 160
        more["unlabelled"] = (images[others], others)
    done: augury.Step = method(images[rows], train.labels[rows] if labels is None else labels, ids=rows, **more)
    return done


@every_strategy
@pytest.mark.parametrize("count", [2, 7])
def test_losses_and_gradients_are_finite(name: str, count: int) -> None:
    """Catches a division by a class, a group or a pair that a small batch lacks, and a network that no gradient reaches."""
    method = method_of(name)
    found = step(method, name, torch.arange(count))
    assert found.loss.ndim == 0 and found.loss.isfinite() and found.loss.requires_grad
    found.loss.backward()
    for network in method.networks if method.strategy.turns == 1 else method.networks[:1]:
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        assert gradients and all(g.isfinite().all() for g in gradients) and any(g.any() for g in gradients)
    assert all(value.isfinite() and not value.requires_grad for value in found.logs.values())
    if found.per_sample is not None:
        assert len(found.per_sample) == count and not found.per_sample.requires_grad


@every_strategy
def test_one_hot_soft_labels_are_labels(name: str) -> None:
    """Catches a strategy that reads the first column of weighted labels as the class."""
    rows = SPREAD
    case = hosts.case_of(name)
    train, classes = hosts.data_of(case).train, len(hosts.data_of(case).classes)
    soft = torch.nn.functional.one_hot(train.labels[rows], classes).float()
    hard, same = step(method_of(name), name, rows), step(method_of(name), name, rows, soft)
    torch.testing.assert_close(same.loss, hard.loss, rtol=1e-5, atol=1e-6)


@every_strategy
def test_resuming_continues_where_it_was(name: str) -> None:
    """Catches what a strategy learns and does not put into its state."""
    kept = method_of(name)
    for _ in range(2):
        step(kept, name, torch.arange(8)).loss.backward()
    kept.end_epoch()
    again = method_of(name)
    again.load_state_dict(kept.state_dict())
    losses = []
    for method in (kept, again):
        method.zero_grad()
        method.start_epoch(1, epochs=2)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            losses.append(step(method, name, torch.arange(8, 16)).loss)
    assert torch.equal(*losses)
    assert str(kept.strategy.state_dict()) == str(again.strategy.state_dict())


def has_weight(name: str) -> bool:
    return "weight" in inspect.signature(registry.get("strategy", name)).parameters


@pytest.mark.parametrize("name", [name for name in NAMES if has_weight(name)])
def test_weight_0_is_training_without_the_penalty(name: str) -> None:
    """Catches a penalty that is not left out: its gradient would be seen although its weight is 0."""
    method = method_of(name, f"{name}(weight=0)")
    found = step(method, name, SPREAD)
    assert found.loss.isfinite()
    if "classification" in found.logs:
        assert torch.equal(found.loss.detach(), found.logs["classification"])
    found.loss.backward()
    with_penalty = step(method_of(name, f"{name}(weight=3)"), name, SPREAD)
    assert with_penalty.loss > found.loss or not with_penalty.logs["consistency"]
