"""The early head's loss on a toy: what it adds to a strategy's, whose labels it takes, and that nothing else changes."""

from collections.abc import Hashable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.options import Chain, Spec
from augury.core.plan import Clock
from augury.core.targets import Targets
from augury.train.strategies.early_head import WithEarlyHead
from augury.train.strategies.strategy import Seen, Step, Strategy, Views, members

CLASSES = 3


class Two(nn.Module):
    """A stem and one unit of 1x1 convolutions, and logits that depend on neither's size."""

    taps = ("stem", "stage1")

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.stage1 = nn.Conv2d(1, 2, 1), nn.Conv2d(2, 4, 1)

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = self.stage1(self.stem(images))
        return maps.mean((2, 3))[:, :CLASSES]


def network(seed: int = 0) -> Two:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Two().train()


def batch(number: int, count: int = 4, labelled: bool = True) -> Batch:
    images = torch.randn(count, 1, 2, 2, generator=torch.Generator().manual_seed(number))
    targets = Targets.of((torch.arange(count) + number) % CLASSES, CLASSES) if labelled else None
    return Batch(images, targets, torch.arange(count))


def views(view: int = 0, pipeline: int = 0, stream: str = "train") -> Batch:
    return batch(view + 10 * pipeline, labelled=stream == "train")


class Shows(Strategy):
    """Reads some views and shows the network some of them, one after the other, in every one of its passes."""

    def __init__(self, reads: Sequence[tuple[int, int, str]], passes: Sequence[slice], networks: int = 1) -> None:
        self.reads, self.passes, self.networks = reads, passes, networks

    def __call__(self, model: nn.Module, views: Views, *, program: Hashable = None, turn: int = 0) -> Step:
        read = [views(*each) for each in self.reads]
        made = []
        for part in self.passes:
            shown = [each.images for each in read[part]]
            images = shown[0] if len(shown) == 1 else torch.cat(shown)
            made += [each(images).square().mean() for each in members(model)]
        loss = torch.stack(made).sum()
        return Step(loss, {"turn": torch.tensor(turn)}, torch.arange(4.0))


def first(count: int) -> list[tuple[int, int, str]]:
    return [(view, 0, "train") for view in range(count)]


def maps(model: Two, each: Batch) -> Tensor:
    found: Tensor = model.stage1(model.stem(each.images))
    return found


def cross_entropy(head: nn.Module, model: Two, shown: Sequence[Batch]) -> Tensor:
    """Of the labelled ones, by PyTorch's functions."""
    labelled = [each for each in shown if each.targets is not None]
    logits = torch.cat([head.linear(maps(model, each).mean((2, 3))) for each in labelled])  # type: ignore[operator]
    return functional.cross_entropy(logits, torch.cat([each.targets.index[:, 0] for each in labelled]))  # type: ignore[union-attr]


UNLABELLED = (1, 0, "unlabelled")


@pytest.mark.parametrize(
    ("reads", "passes"),
    [
        (first(1), [slice(0, 1)]),
        (first(3), [slice(0, 3)]),
        (first(3), [slice(1, 3)]),
        (first(3), [slice(2, 3), slice(0, 2)]),
        ([(0, 0, "train"), UNLABELLED, (2, 1, "train")], [slice(0, 3)]),
        ([UNLABELLED, (0, 0, "train")], [slice(0, 2)]),
    ],
    ids=["one view", "all views", "the last views", "two passes", "unlabelled between", "unlabelled first"],
)
@pytest.mark.parametrize("weight", [0.3, 2.0])
def test_the_heads_cross_entropy_of_the_labelled_rows_is_added(
    reads: list[tuple[int, int, str]], passes: list[slice], weight: float
) -> None:
    """Catches labels of another view, unlabelled rows that shift the others, and a pass that is left out."""
    model, inner = network(), Shows(reads, passes)
    made = WithEarlyHead(inner, CLASSES, weight)
    head = made.modules(model)["early_head"]
    step, plain = made(model, views, turn=7), inner(model, views)
    shown = [batch(view + 10 * pipeline, labelled=stream == "train") for view, pipeline, stream in reads]
    early = torch.stack([cross_entropy(head, model, shown[part]) for part in passes]).sum()
    torch.testing.assert_close(step.loss, plain.loss + weight * early)
    torch.testing.assert_close(step.logs["early_head"], early.detach())
    assert not step.logs["early_head"].requires_grad
    assert step.logs["turn"] == 7 and torch.equal(step.per_sample, torch.arange(4.0))  # type: ignore[arg-type]


def test_its_gradient_reaches_the_head_and_the_first_unit() -> None:
    model = network()
    made = WithEarlyHead(Shows(first(1), [slice(0, 1)]), CLASSES)
    head = made.modules(model)["early_head"]
    made(model, views).loss.backward()
    own = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    made.strategy(model, views).loss.backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in head.parameters())
    assert len(own) == 4 and not any(torch.equal(a, p.grad) for a, p in zip(own, model.parameters(), strict=True))  # type: ignore[arg-type]


def test_a_turn_is_passed_on_and_is_the_first_if_not_said() -> None:
    made = WithEarlyHead(Shows(first(1), [slice(0, 1)]), CLASSES)
    made.modules(model := network())
    assert made(model, views).logs["turn"] == 0 and made(model, views, turn=2).logs["turn"] == 2


def test_the_weight_is_inceptions_by_default() -> None:
    assert WithEarlyHead(Shows(first(1), [slice(0, 1)]), CLASSES).weight == 0.3


def test_a_pass_without_labels_costs_nothing() -> None:
    model, inner = network(), Shows([UNLABELLED], [slice(0, 1)])
    made = WithEarlyHead(inner, CLASSES, 5.0)
    made.modules(model)
    step = made(model, views)
    assert torch.equal(step.loss, inner(model, views).loss) and step.logs["early_head"] == 0


@pytest.mark.parametrize("looking", ["evaluation mode", "no gradient"])
def test_looking_is_not_training(looking: str) -> None:
    model, inner = network(), Shows(first(1), [slice(0, 1)])
    made = WithEarlyHead(inner, CLASSES)
    made.modules(model)
    model.train(looking != "evaluation mode")
    with torch.set_grad_enabled(looking != "no gradient"):
        step, plain = made(model, views), inner(model, views)
    assert torch.equal(step.loss, plain.loss) and "early_head" not in step.logs


def test_a_frozen_unit_is_trained_through_all_the_same() -> None:
    model, inner = network(), Shows(first(1), [slice(0, 1)])
    made = WithEarlyHead(inner, CLASSES)
    made.modules(model)
    model.stage1.eval()
    assert made(model, views).logs["early_head"] > 0


def test_of_several_networks_the_first_has_the_head() -> None:
    both = nn.ModuleList([network(0), network(1)])
    inner = Shows(first(1), [slice(0, 1)], networks=2)
    made = WithEarlyHead(inner, CLASSES)
    head = made.modules(both)["early_head"]
    step = made(both, views)
    early = cross_entropy(head, both[0], [batch(0)])  # type: ignore[arg-type]
    torch.testing.assert_close(step.loss, inner(both, views).loss + 0.3 * early)


class Trains(Strategy):
    """Trains on what a function makes of its two views."""

    def __init__(self, mixes: Any) -> None:
        self.mixes = mixes

    def __call__(self, model: nn.Module, views: Views, *, program: Hashable = None, turn: int = 0) -> Step:
        return Step(model(self.mixes(views(0).images, views(1).images)).sum())


@pytest.mark.parametrize(
    "mixes",
    [lambda a, b: (a + b) / 2, lambda a, b: torch.cat([b, a]), lambda a, b: torch.cat([a, b, a]), lambda a, b: a[:2]],
    ids=["mixed", "in another order", "one twice", "a part"],
)
def test_images_that_are_no_views_are_refused(mixes: Any) -> None:
    """Their labels are not known here. The hooks on the network are gone afterwards."""
    model = network()
    made = WithEarlyHead(Trains(mixes), CLASSES)
    made.modules(model)
    with pytest.raises(InputError, match="trains on images that are not its views.*saliency=full"):
        made(model, views)
    assert not model._forward_pre_hooks and not model.stage1._forward_hooks


def test_no_hook_stays_behind() -> None:
    model = network()

    class Fails(Strategy):
        def __call__(self, *given: Any, **more: Any) -> Step:
            raise KeyboardInterrupt

    for inner in (Shows(first(1), [slice(0, 1)]), Fails()):
        made = WithEarlyHead(inner, CLASSES)
        made.modules(model)
        try:
            made(model, views)
        except KeyboardInterrupt:
            assert isinstance(inner, Fails)
        assert not model._forward_pre_hooks and not model.stage1._forward_hooks


def test_an_accelerator_compares_images_once_per_program_and_number_of_views(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every comparison waits for the device; the device `meta` stands in for one."""
    model, looked = network().to("meta"), []
    monkeypatch.setattr(torch, "equal", lambda one, other: not looked.append(len(one)))  # type: ignore[func-returns-value]

    def there(view: int = 0, pipeline: int = 0, stream: str = "train") -> Batch:
        return views(view, pipeline, stream).to(torch.device("meta"))

    inner = Shows(first(2), [slice(0, 2)])
    made = WithEarlyHead(inner, CLASSES)
    made.modules(model)
    made._head = made._head.to("meta")  # type: ignore[union-attr]
    for program in (1, 1, 2, 2, 1):
        made(model, there, program=program)
    assert looked == [8, 8]
    inner.reads, inner.passes = first(3), [slice(0, 3)]
    made(model, there, program=1)
    made(model, there, program=1)
    assert looked == [8, 8, 12]


def test_the_processor_compares_images_in_every_step() -> None:
    model, inner = network(), Trains(lambda a, b: torch.cat([a, b]))
    made = WithEarlyHead(inner, CLASSES)
    made.modules(model)
    made(model, views)
    inner.mixes = lambda a, b: torch.cat([b, a])
    with pytest.raises(InputError, match="not its views"):
        made(model, views)


class Told(Strategy):
    """Notes what it is asked and gives it back under the hook's name."""

    streams, stream_ratio, turns, networks, pipelines = ("train", "unlabelled"), 2, 3, 4, 5
    seen, stages, chains = (Seen("a"), Seen("b", 1)), (None,), (Chain((Spec("none"),)),)
    images_per_class, needs_groups, several_labels, smoothing, intensive = 6, True, True, 0.25, True

    def __init__(self) -> None:
        self.told: list[object] = []

    def modules(self, model: nn.Module) -> dict[str, nn.Module]:
        return {"own": nn.Identity()}


HOOKS: list[tuple[str, tuple[object, ...]]] = [
    ("seeded", (5,)), ("begin", ("groups",)), ("program", (Clock(1, 2),)), ("examples", ("network", "batch", "program")),
    ("end_epoch", (Clock(1, 2),)), ("epoch_logs", ()), ("at_epoch", (3,)), ("state_dict", ()),
    ("load_state_dict", ({"state": 1},)), ("files", (Clock(2, 2),)),
]  # fmt: skip


@pytest.mark.parametrize(("hook", "given"), HOOKS, ids=[hook for hook, _ in HOOKS])
def test_the_strategy_within_is_told_and_asked_everything(hook: str, given: tuple[object, ...]) -> None:
    inner, answer = Told(), object()
    setattr(inner, hook, lambda *asked: (inner.told.append(asked), answer)[1])  # type: ignore[func-returns-value]
    found = getattr(WithEarlyHead(inner, CLASSES), hook)(*given)
    assert inner.told == [given]
    assert found is (None if hook in ("seeded", "begin", "end_epoch", "at_epoch", "load_state_dict") else answer)


def test_what_it_declares_is_the_strategys_own() -> None:
    inner = Told()
    made = WithEarlyHead(inner, CLASSES)
    for name in Strategy.__annotations__:
        assert getattr(made, name) == getattr(inner, name) != getattr(Strategy, name), name
    assert set(made.modules(network())) == {"own", "early_head"}


def test_views_are_asked_for_as_the_strategy_asks() -> None:
    asked: list[tuple[int, int, str]] = []

    def noted(view: int = 0, pipeline: int = 0, stream: str = "train") -> Batch:
        asked.append((view, pipeline, stream))
        return batch(view)

    class Bare(Strategy):
        def __call__(self, model: nn.Module, views: Views, *, program: Hashable = None, turn: int = 0) -> Step:
            views()
            return Step(model(views(2, 1, "unlabelled").images).sum())

    made = WithEarlyHead(Bare(), CLASSES)
    made.modules(model := network())
    made(model, noted)
    assert asked == [(0, 0, "train"), (2, 1, "unlabelled")]
