"""Manifold Mixup: which layer, which pairs, and what is left of it when it is refined."""

import pytest
import torch
from torch import Tensor, nn

from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.plan import Clock
from augury.core.targets import Targets
from augury.train.models.build import build
from augury.train.strategies.build import strategy

ROWS = torch.arange(16)


def batch(images: Tensor | None = None) -> Batch:
    images = torch.linspace(-1, 1, 16 * 3 * 8 * 8).reshape(16, 3, 8, 8) if images is None else images
    return Batch(images, Targets.of(ROWS % 4, 4), ROWS, key=Noise.of(0, ROWS).key)


class Stages(nn.Module):
    """f(x) = sum over channels of a linear stage, a non-linear one and a linear head; notes what passes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.stage1 = nn.Identity(), nn.Tanh()
        self.head = nn.Linear(3, 4)
        self.taps = ("stem", "stage1")

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.stage1(self.stem(images)).mean((2, 3)))


def drawn(alpha: float) -> tuple[Tensor, Tensor]:
    """Partners and weights, told from the labels of one call."""
    made = strategy("manifold_mixup", alpha=alpha, layers=(0,))
    made.modules(Stages())
    _, targets = made.examples(Stages(), batch(), (0, 1.0, alpha))
    return targets.index, targets.weight


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_the_chosen_layer_is_mixed_and_no_other(layer: int) -> None:
    model = Stages()
    made = strategy("manifold_mixup", alpha=1.0, layers=(layer,))
    made.modules(model)
    logits, targets = made.examples(model, batch(), (0, 1.0, 1.0))
    keep = targets.dense()
    own = batch()
    # The partner is the same whatever the layer: find it from the input mix of a network that shows its images.
    partner = Noise(own.key).fold("manifold_mixup").fold("partner").partners()  # type: ignore[arg-type]
    weight = Noise(own.key).fold("manifold_mixup").uniform(2)[:, 0]  # type: ignore[arg-type]  # Beta(1, 1) is uniform

    def mixed(maps: Tensor) -> Tensor:
        share = weight.reshape(-1, *[1] * (maps.ndim - 1))
        return maps * share + maps[partner] * (1 - share)

    images = own.images
    expected = {0: torch.tanh(mixed(images)), 1: torch.tanh(mixed(images)), 2: mixed(torch.tanh(images))}[layer]
    torch.testing.assert_close(logits, model.head(expected.mean((2, 3))))
    one_hot = torch.nn.functional.one_hot(ROWS % 4, 4).float()
    torch.testing.assert_close(keep, mixed(one_hot))
    if layer == 2:
        assert not torch.allclose(expected, torch.tanh(mixed(images)))


def test_weights_follow_beta_and_are_drawn_for_every_image() -> None:
    rows = torch.arange(4000)
    big = Batch(torch.zeros(4000, 3, 2, 2), Targets.of(rows % 4, 4), rows, key=Noise.of(0, rows).key)
    made = strategy("manifold_mixup", alpha=2.0, layers=(0,))
    made.modules(Stages())
    _, targets = made.examples(Stages(), big, (0, 1.0, 2.0))
    weight = targets.weight[:, 0]
    assert weight.unique().numel() > 3000
    assert float(weight.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(weight.var()) == pytest.approx(1 / (4 * 5), rel=0.08)  # Beta(2, 2)
    _, half = made.examples(Stages(), big, (0, 0.25, 2.0))
    assert float((half.weight.max(1).values < 1).float().mean()) == pytest.approx(0.25, abs=0.03)


def test_the_programs_of_a_training() -> None:
    made = strategy("manifold_mixup")
    made.modules(build("preact_resnet18", classes=10))
    assert made.paths == (None, "stage1", "stage2")  # type: ignore[attr-defined]
    programs = [made.program(Clock(step=step, seed=3)) for step in range(300)]
    assert {layer for layer, *_ in programs} == {0, 1, 2}
    assert all(abs(sum(p[0] == layer for p in programs) - 100) < 40 for layer in range(3))
    assert programs == [made.program(Clock(step=step, seed=3)) for step in range(300)]
    assert programs != [made.program(Clock(step=step, seed=4)) for step in range(300)]
    assert made.program(Clock(intensity=0)) is None and made.program(Clock(intensity=0.5, fading="chance"))[1:] == (0.5, made.alpha)
    assert made.program(Clock(intensity=0.5))[1:] == (1.0, made.alpha / 2)


def test_one_weight_may_hold_for_the_batch_whatever_its_order() -> None:
    made = strategy("manifold_mixup", alpha=1.0, layers=(0,), batch_wide=True)
    made.modules(Stages())
    backwards = ROWS.flip(0)
    other = Batch(batch().images[backwards], Targets.of(backwards % 4, 4), backwards, key=Noise.of(0, backwards).key)
    weights = []
    for each in (batch(), other):
        _, targets = made.examples(Stages(), each, (0, 1.0, 1.0))
        weight = targets.weight[targets.index[:, 0] != targets.index[:, 1], 0]
        assert len(weight) > 4 and len(weight.unique()) == 1
        weights.append(float(weight[0]))
    assert weights[0] == weights[1]


def test_refined_it_is_plain_training() -> None:
    model, made = Stages(), strategy("manifold_mixup")
    made.modules(model)
    step = made(model, lambda *given, **more: batch(), program=None)
    plain = strategy("erm")(model, lambda *given, **more: batch())
    assert torch.equal(step.loss, plain.loss)


def test_modules_by_name_and_refusals() -> None:
    network = build("torchvision:resnet18", classes=10)
    made = strategy("manifold_mixup(layers=[0, 'network.layer1.0'])")
    made.modules(network)
    assert made.paths == (None, "network.layer1.0")  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="layers are 0 input, 1 stem"):
        strategy("manifold_mixup", layers=(9,)).modules(Stages())
    with pytest.raises(InputError, match="no such module"):
        strategy("manifold_mixup", layers=("stage7",)).modules(Stages())
    without = strategy("manifold_mixup", layers=(0,))
    without.modules(Stages())
    with pytest.raises(InputError, match="key=noise.key"):
        without.examples(Stages(), batch().replace(key=None), (0, 1.0, 1.0))


class Odd(Stages):
    """Its last layers give no tensor, and fewer rows than there are images."""

    def __init__(self) -> None:
        super().__init__()
        self.pair, self.evens = Pair(), Evens()

    def forward(self, images: Tensor) -> Tensor:
        self.evens(images)
        return super().forward(self.pair(images)[0])


class Pair(nn.Module):
    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return (images,) * len(images)


class Evens(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images[::2]


@pytest.mark.parametrize("layer", ["pair", "evens"])
def test_a_layer_without_a_row_for_every_image_cannot_be_mixed(layer: str) -> None:
    """Catches a tuple with as many parts as the batch has rows, and a tensor of other rows. The hook is gone afterwards."""
    model, made = Odd(), strategy("manifold_mixup", layers=(layer,))
    made.modules(model)
    with pytest.raises(InputError, match="the layer's output must be a tensor with one row per image"):
        made.examples(model, batch(), (0, 1.0, 1.0))
    assert not model.get_submodule(layer)._forward_hooks


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ((3,), r"layers=3\): the network's layers are 0 input, 1 stem, 2 stage1$"),
        ((-1,), r"layers=-1\): the network's layers are 0 input, 1 stem, 2 stage1$"),
        ((0, "stage7"), r"layers=stage7\): no such module; there are stem, stage1$"),
        ((), r"layers=\[\]\): name at least one layer; 0 is the input$"),
    ],
)
def test_layers_that_a_network_lacks_are_refused_with_those_it_has(layers: tuple[int | str, ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        strategy("manifold_mixup", layers=layers).modules(Stages())


def test_a_network_without_named_stages_is_mixed_at_the_input_or_a_module() -> None:
    plain = nn.Sequential(nn.Flatten(), nn.Linear(192, 4))
    made = strategy("manifold_mixup")
    made.modules(plain)
    assert made.paths == (None,)  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="layers=7.: no such module; there are 0, 1$"):
        strategy("manifold_mixup", layers=("7",)).modules(plain)
    with pytest.raises(InputError, match="layers=1.: the network's layers are 0 input$"):
        strategy("manifold_mixup", layers=(1,)).modules(plain)
    named = strategy("manifold_mixup", layers=("1", 0))
    assert named.modules(plain) == {} and named.paths == ("1", None)  # type: ignore[attr-defined]
    made.modules(nn.ModuleList([Stages(), plain]))
    assert made.paths == (None, "stage1")  # type: ignore[attr-defined]


def test_a_step_tells_the_loss_of_every_mixed_image() -> None:
    model, made = Stages(), strategy("manifold_mixup", alpha=1.0, layers=(2,))
    made.modules(model)
    step = made(model, lambda *given, **more: batch(), program=(0, 1.0, 1.0))
    logits, targets = made.examples(model, batch(), (0, 1.0, 1.0))
    assert step.per_sample is not None and not step.per_sample.requires_grad
    torch.testing.assert_close(step.per_sample, targets.loss(logits).detach())
    torch.testing.assert_close(step.loss, targets.loss(logits).mean())
    assert not model.stage1._forward_hooks and made.intensive and made.several_labels


def test_a_chance_of_nothing_leaves_images_and_labels() -> None:
    model, made = Stages(), strategy("manifold_mixup", layers=(0,))
    made.modules(model)
    logits, targets = made.examples(model, batch(), (0, 0.0, 2.0))
    torch.testing.assert_close(logits, model(batch().images))
    torch.testing.assert_close(targets.dense(), torch.nn.functional.one_hot(ROWS % 4, 4).float())


def test_a_batch_without_images_is_mixed_to_nothing() -> None:
    for wide in (False, True):
        made = strategy("manifold_mixup", layers=(0,), batch_wide=wide)
        made.modules(Stages())
        logits, targets = made.examples(Stages(), batch()[:0], (0, 1.0, 1.0))  # type: ignore[index]
        assert len(logits) == len(targets) == 0
