"""The base of strategies, whose defaults a strategy may rely on, and strategies that are one function."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils import _pytree

import augury
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.options import Spec
from augury.core.plan import Clock
from augury.core.targets import Targets
from augury.train.strategies.simple import SimpleStrategy, is_loss_function, name_of
from augury.train.strategies.strategy import Seen, Step, Strategy, Views, labels_of, members

IMAGES = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
BATCH = Batch(IMAGES, Targets.of(torch.tensor([0, 2, 1, 1]), 3), torch.arange(4))


def views(view: int = 0, pipeline: int = 0, stream: str = "train") -> Batch:
    return BATCH


class TestTheBase:
    def test_it_asks_nothing_of_a_host(self) -> None:
        made, model = Strategy(), nn.Linear(3, 3)
        assert made.modules(model) == {} and made.state_dict() == {} and made.epoch_logs() == {} and made.files(Clock()) == {}
        assert made.program(Clock(3, 9)) is None
        assert (made.streams, made.stream_ratio, made.turns, made.networks, made.pipelines) == (("train",), 1, 1, 1, 1)
        assert made.seen == (Seen("", 0, 0, "train"),)
        assert (made.stages, made.chains, made.images_per_class, made.smoothing) == ((), (), 0, 0.0)
        assert not (made.needs_groups or made.several_labels or made.intensive)
        for told in (lambda: made.seeded(1), lambda: made.end_epoch(Clock()), lambda: made.at_epoch(0)):
            assert told() is None  # type: ignore[func-returns-value]

    def test_a_strategy_without_a_loss_says_so_by_name(self) -> None:
        class Empty(Strategy):
            pass

        with pytest.raises(NotImplementedError, match="Empty defines no __call__"):
            Empty()(nn.Identity(), views)

    def test_examples_are_the_networks_answers_and_the_labels(self) -> None:
        class Plain(Strategy):
            pass

        model = nn.Linear(3, 3)
        logits, targets = Plain().examples(model, BATCH, None)
        assert torch.equal(logits, model(IMAGES)) and targets is BATCH.targets
        with pytest.raises(InputError, match="Plain needs labels"):
            Plain().examples(model, BATCH.replace(targets=None), None)

    def test_labels_are_named_where_they_lack(self) -> None:
        assert labels_of(BATCH, "mine") is BATCH.targets
        with pytest.raises(InputError, match="^strategy: mine needs labels$"):
            labels_of(BATCH.replace(targets=None), "mine")

    def test_members_are_the_networks(self) -> None:
        one, two = nn.Linear(1, 1), nn.Linear(1, 1)
        assert members(one) == [one] and members(nn.ModuleList([one, two])) == [one, two]
        assert members(both := nn.Sequential(one, two)) == [both], "a network may be a sequence of layers"

    def test_pytorch_finds_a_steps_tensors(self) -> None:
        step = Step(torch.tensor(1.0), {"a": torch.tensor(2.0)}, torch.arange(3.0))
        doubled = _pytree.tree_map(lambda part: 2 * part, step)
        assert isinstance(doubled, Step) and doubled.loss == 2 and doubled.logs == {"a": torch.tensor(4.0)}
        assert doubled.per_sample is not None and doubled.per_sample.tolist() == [0, 2, 4]
        assert Step(torch.tensor(1.0)).logs == {} and Step(torch.tensor(1.0)).per_sample is None


def mean_square(model: nn.Module, views: Views) -> Tensor:
    return model(views().images).square().mean()


def scaled(model: nn.Module, views: Views, *, factor: float = 2.0) -> Step:
    """A `Step` of its own, with an option."""
    return Step(factor * mean_square(model, views), {"factor": torch.tensor(factor)})


class Callable_:
    def __call__(self, model: nn.Module, views: Views) -> object:
        return "much"


class TestOneFunction:
    def test_a_scalar_is_the_steps_loss_and_a_step_is_given_back(self) -> None:
        model = nn.Linear(3, 3)
        expected = model(IMAGES).square().mean()
        step = SimpleStrategy(mean_square)(model, views)
        assert torch.equal(step.loss, expected) and step.logs == {} and step.per_sample is None
        assert torch.equal(SimpleStrategy(scaled)(model, views).loss, 2 * expected)
        assert SimpleStrategy(partial(scaled, factor=3.0))(model, views).logs == {"factor": torch.tensor(3.0)}

    def test_with_several_turns_it_is_told_which(self) -> None:
        told: list[tuple[object, ...]] = []

        def loss_of(*given: object) -> Tensor:
            told.append(given)
            return torch.tensor(0.0)

        model = nn.Identity()
        SimpleStrategy(loss_of, turns=2)(model, views, turn=1)
        SimpleStrategy(loss_of, turns=2)(model, views)
        SimpleStrategy(loss_of)(model, views, turn=1)
        assert told == [(model, views, 1), (model, views, 0), (model, views)]

    def test_a_network_is_checked_before_training(self) -> None:
        checked: list[nn.Module] = []
        model = nn.Identity()
        assert SimpleStrategy(mean_square, check=checked.append).modules(model) == {} and checked == [model]
        assert SimpleStrategy(mean_square).modules(model) == {}

    @pytest.mark.parametrize(
        ("returned", "words"),
        [(torch.zeros(2, 3), r"a tensor \[2, 3\]"), (torch.zeros(1), r"a tensor \[1\]"), (0.5, "float"), (None, "NoneType")],
    )
    def test_anything_but_a_scalar_is_refused_by_name(self, returned: object, words: str) -> None:
        def per_image(model: nn.Module, views: Views, *, option: int = 0) -> Any:
            return returned

        for function in (per_image, partial(per_image, option=1)):
            with pytest.raises(InputError, match=f"^strategy: per_image returned {words}; return a scalar loss or a Step$"):
                SimpleStrategy(function)(nn.Identity(), views)

    def test_an_object_is_named_by_its_class(self) -> None:
        with pytest.raises(InputError, match="Callable_ returned str"):
            SimpleStrategy(Callable_())(nn.Identity(), views)  # type: ignore[arg-type]
        assert [name_of(each) for each in (scaled, partial(partial(scaled), factor=1.0))] == ["scaled"] * 2

    @pytest.mark.parametrize(
        ("made", "is_one"),
        [
            (mean_square, True), (scaled, True), (Callable_(), True), (lambda model, views, turn=0: None, True),
            (lambda model, views, /: None, True), (lambda model: None, False), (lambda a, b, c: None, False),
            (lambda *, factor=1.0: None, False), (lambda *given: None, False), (SimpleStrategy, False), (3, False),
            (lambda model, *, views: None, False),
        ],
    )  # fmt: skip
    def test_a_loss_function_takes_two_positions(self, made: Callable[..., object], is_one: bool) -> None:
        assert is_loss_function(made) is is_one


class TestTheFrontDoor:
    def test_names_texts_and_specs_are_the_same_strategy(self) -> None:
        made = [
            augury.strategy("erm", smoothing=0.25), augury.strategy("erm(smoothing=0.25)"),
            augury.strategy(Spec("erm", {"smoothing": 0.25})), augury.strategy("erm(smoothing=0.5)", smoothing=0.25),
        ]  # fmt: skip
        assert all(each == made[0] and each.smoothing == 0.25 for each in made)

    def test_a_function_is_one_with_its_options(self) -> None:
        model = nn.Linear(3, 3)
        expected = model(IMAGES).square().mean()
        assert torch.equal(augury.strategy(scaled, factor=5.0)(model, views).loss, 5 * expected)
        assert torch.equal(augury.strategy(mean_square)(model, views).loss, expected)
        with pytest.raises(InputError, match="^strategy: scaled has no option 'factro'; did you mean 'factor'"):
            augury.strategy(scaled, factro=5.0)

    def test_a_strategy_is_given_back_and_takes_no_options(self) -> None:
        made = augury.strategy("erm")
        assert augury.strategy(made) is made
        with pytest.raises(InputError, match="Erm is already built"):
            augury.strategy(made, smoothing=0.1)

    @pytest.mark.parametrize(
        ("name", "words"),
        [("emr", "^--strategy: unknown strategy 'emr'"), (len, "^strategy: <built-in function len> is not a strategy"),
         ("erm(", "^strategy: cannot read 'erm\\('"), ("erm(smoothing=1)", r"^--strategy: erm\(smoothing=1\) must be from 0"),
         ("erm(colour=1)", "^--strategy: erm has no option 'colour'")],
    )  # fmt: skip
    def test_what_is_none_is_refused(self, name: Any, words: str) -> None:
        with pytest.raises(InputError, match=words):
            augury.strategy(name)

    def test_a_registered_name_may_be_a_function_or_must_make_a_strategy(self) -> None:
        from augury.core import registry
        from augury.core.registry import register

        register("strategy", "test_base_function", source="a test")(scaled)
        register("strategy", "test_base_nothing", source="a test")(lambda *, size=1: size)
        try:
            step = augury.strategy("test_base_function(factor=7)")(nn.Identity(), views)
            assert step.loss.item() == pytest.approx(7 * IMAGES.square().mean().item())
            with pytest.raises(InputError, match="test_base_nothing returned int, which must inherit from augury.Strategy"):
                augury.strategy("test_base_nothing")
        finally:
            for name in ("test_base_function", "test_base_nothing"):
                registry._outside.pop(("strategy", name), None)
                registry._loaded.pop(("strategy", name), None)
