"""What every strategy is to a host, and strategies that are plain functions."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import augury
from augury.core import registry
from augury.core.errors import InputError
from augury.core.plan import Clock
from augury.core.registry import register
from augury.train.data.dataset import load
from augury.train.engine.prepare import prepare
from augury.train.engine.run import Trainer
from augury.train.engine.settings import Settings
from augury.train.strategies.early_head import WithEarlyHead
from augury.train.strategies.simple import is_loss_function
from augury.train.strategies.strategy import Step, Strategy, Views, labels_of

SHORT = Settings("digits", augment="crop", epochs=1, batch_size=256)


def own_erm(model: nn.Module, views: Views) -> Tensor:
    batch = views()
    return labels_of(batch, "own_erm").loss(model(batch.images)).mean()


def scaled(model: nn.Module, views: Views, *, factor: float = 1.0) -> Step:
    """Plain training with a factor on the loss."""
    return Step(own_erm(model, views) * factor)


@pytest.fixture
def registered() -> Iterator[None]:
    """`scaled` as the registered name test_scaled."""
    register("strategy", "test_scaled", source="a test")(scaled)
    yield
    registry._outside.pop(("strategy", "test_scaled"))
    registry._loaded.pop(("strategy", "test_scaled"))


def weights(settings: Settings) -> list[Tensor]:
    training = prepare(settings, load("digits"))
    Trainer(training).train_epoch()
    return [p.detach() for p in training.model.parameters()]


@pytest.mark.parametrize("name", registry.names("strategy"))
def test_every_strategy_inherits_the_contract(name: str) -> None:
    """Catches a strategy that a checker would not see, and a hook that the wrapper of the early head forgets."""
    made = augury.strategy(name)
    assert isinstance(made, Strategy) and made.streams[0] == "train" and made.turns >= 1
    wrapped = WithEarlyHead(made, 10)
    for hook in (key for key in Strategy.__annotations__):
        assert getattr(wrapped, hook) == getattr(made, hook), hook
    overridden = {key for key, value in vars(Strategy).items() if callable(value) and not key.startswith("__")}
    assert overridden <= set(vars(WithEarlyHead)), "a wrapper that leaves a hook to the base's default loses it"


def test_a_registered_function_is_a_strategy_with_options(registered: None) -> None:
    plain = weights(replace(SHORT, strategy="erm"))
    assert all(torch.equal(a, b) for a, b in zip(plain, weights(replace(SHORT, strategy="test_scaled")), strict=True))
    half = weights(replace(SHORT, strategy="test_scaled(factor=0.5)"))
    assert not any(torch.equal(a, b) for a, b in zip(plain, half, strict=True))
    with pytest.raises(InputError, match="factor"):
        augury.strategy("test_scaled", factro=1)


def test_a_function_given_from_python_is_a_strategy() -> None:
    model, images = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), torch.randn(2, 1, 2, 2)
    batch = augury.Batch(images, augury.Targets.of(torch.tensor([0, 2])), torch.arange(2))

    def views(view: int = 0, pipeline: int = 0, stream: str = "train") -> augury.Batch:
        return batch

    expected = augury.strategy("erm")(model, views).loss
    assert torch.equal(augury.strategy(own_erm)(model, views).loss, expected)
    assert torch.equal(augury.strategy(scaled, factor=2.0)(model, views).loss, 2 * expected)
    made = augury.strategy("ait")
    assert augury.strategy(made) is made


def test_what_is_no_strategy_is_refused() -> None:
    with pytest.raises(InputError, match="is not a strategy"):
        augury.strategy(len)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="already built"):
        augury.strategy(augury.strategy("erm"), smoothing=0.1)
    with pytest.raises(InputError, match=r"per_image returned a tensor \[2\]"):

        def per_image(model: nn.Module, views: Views) -> Tensor:
            return torch.zeros(2)

        augury.strategy(per_image)(nn.Identity(), lambda: None)  # type: ignore[arg-type,return-value]
    assert not is_loss_function(registry.get("strategy", "erm")) and is_loss_function(scaled)


def test_a_controller_left_in_the_middle_of_an_epoch_learns_from_all_of_it() -> None:
    """Catches a state without the losses collected so far: the resumed one would learn from half an epoch."""
    one, two = (augury.strategy("adversarial_autoaugment(policies=2)") for _ in range(2))
    one.seeded(1)
    one.losses, one.steps = torch.tensor([1.0, 3.0]), 2  # type: ignore[attr-defined]
    two.load_state_dict(one.state_dict())
    for each in (one, two):
        each.end_epoch(Clock(1, 2))
    assert one.state_dict()["history"] == two.state_dict()["history"]
    assert one.state_dict()["history"][0]["losses"] == [0.5, 1.5]
