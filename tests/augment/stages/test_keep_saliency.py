"""Saliency maps: the right derivative, and no side effects."""

import pytest
import torch
from torch import Tensor, nn

import augury
from augury.augment.saliency.early_head import early_head, first_unit
from augury.augment.saliency.source import Saliency
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.targets import Targets


@pytest.fixture
def model() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = augury.model("resnet20", classes=10)
        made.train()
        for _ in range(3):  # statistics that differ from a batch's own
            made(torch.randn(8, 3, 32, 32) * 2 + 1)
    return made


@pytest.fixture
def images() -> Tensor:
    return torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(1))


LABELS = torch.tensor([3, 1, 4, 1, 5, 9])


def test_the_map_is_the_gradient_of_the_label_logit(model: nn.Module, images: Tensor) -> None:
    found = augury.saliency(model).map(images, LABELS)
    model.eval()
    pixels = images.clone().requires_grad_()
    model(pixels).gather(1, LABELS[:, None]).sum().backward()
    torch.testing.assert_close(found, pixels.grad.abs().amax(1))
    assert found.dtype == torch.float32


def test_a_linear_network_in_closed_form() -> None:
    linear = nn.Sequential(nn.Flatten(), nn.Linear(2 * 3 * 4, 5))
    images = torch.randn(3, 2, 3, 4)
    weight = linear[1].weight.detach().reshape(5, 2, 3, 4).abs().amax(1)
    labels = torch.tensor([4, 0, 2])
    torch.testing.assert_close(augury.saliency(linear).map(images, labels), weight[labels])
    torch.testing.assert_close(augury.saliency(linear).map(images), weight[linear(images).argmax(1)])


def test_labels_come_from_the_targets_and_soft_ones_by_their_largest(model: nn.Module, images: Tensor) -> None:
    saliency = augury.saliency(model)
    ids = torch.arange(6)
    hard = saliency(Batch(images, Targets.of(LABELS, 10), ids)).saliency
    torch.testing.assert_close(hard, saliency.map(images, LABELS))
    soft = Targets.of(LABELS, 10).mix(ids.roll(1), torch.full((6,), 0.7))
    torch.testing.assert_close(saliency(Batch(images, soft, ids)).saliency, hard)
    assert not torch.equal(saliency(Batch(images, None, ids)).saliency, hard)


@pytest.mark.parametrize("kind", ["full", "low_resolution", "early_head"])
def test_it_leaves_no_trace(model: nn.Module, images: Tensor, kind: str) -> None:
    """Statistics, gradients, modes, generators and the graph of the next pass are as they were."""
    head = early_head(model, 10) if kind == "early_head" else None
    saliency = augury.saliency(model, kind, head=head)
    model.stage1.eval()  # a part that its owner has frozen stays frozen
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    generator = torch.get_rng_state()
    saliency.map(images, LABELS)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), generator)
    assert not images.requires_grad and not model._forward_hooks and not first_unit(model)._forward_hooks


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_the_training_gradient_is_the_same_with_a_look_before(model: nn.Module, images: Tensor, dtype: torch.dtype | None) -> None:
    """Autocast caches cast weights; a look must not leave copies without a graph there."""

    def gradients(look: bool) -> list[Tensor]:
        model.zero_grad()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 0.0
        with torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype is not None):
            if look:
                augury.saliency(model).map(images, LABELS)
            nn.functional.cross_entropy(model(images).float(), LABELS).backward()
        return [parameter.grad.clone() for parameter in model.parameters()]

    for plain, looked in zip(gradients(False), gradients(True), strict=True):
        assert torch.equal(plain, looked)


def test_bfloat16_stays_and_float16_is_left(model: nn.Module, images: Tensor) -> None:
    seen = []
    hook = model.head.register_forward_hook(lambda module, given, made: seen.append(made.dtype))
    for dtype in (torch.bfloat16, torch.float16):
        with torch.autocast("cpu", dtype):
            augury.saliency(model).map(images, LABELS)
    hook.remove()
    assert seen == [torch.bfloat16, torch.float32]


@pytest.mark.parametrize("name", ["preact_resnet18", "wrn_28_2", "shake_shake_26_2x32d", "mobilenet_v2_cifar", "small_cnn"])
def test_half_resolution_suits_our_networks(name: str) -> None:
    model = augury.model(name, classes=10)
    found = augury.saliency(model, "low_resolution").map(torch.randn(2, 3, 32, 32))
    assert found.shape == (2, 32, 32) and bool(found.isfinite().all()) and bool((found >= 0).all())


def test_half_resolution_lies_where_the_full_map_does() -> None:
    """A network that looks at one corner: both maps are high there and only there."""
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 4:12, 18:28] = 1

    class Corner(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            here = nn.functional.interpolate(mask, images.shape[-2:], mode="area")
            seen = (images * here).tanh().flatten(1).sum(1)
            return torch.stack([seen, -seen], 1)

    for kind in ("full", "low_resolution"):
        found = augury.saliency(Corner(), kind).map(torch.randn(2, 3, 32, 32))
        inside = found[:, 4:12, 18:28].sum((1, 2)) / found.sum((1, 2))
        assert bool((inside > 0.85).all()), kind


def test_odd_sizes_and_single_pixels() -> None:
    model = augury.model("small_cnn", classes=3)
    for height, width in ((15, 21), (3, 1), (1, 1)):
        found = augury.saliency(model, "low_resolution").map(torch.randn(2, 3, height, width))
        assert found.shape == (2, height, width)


def test_networks_that_refuse_another_size_say_so_in_one_line() -> None:
    fixed = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 5))
    with pytest.raises(InputError, match=r"does not take images of 16x16 .*use saliency=full") as error:
        augury.saliency(fixed, "low_resolution").map(torch.randn(2, 3, 32, 32))
    assert "\n" not in str(error.value)
    resized = augury.model("torchvision:resnet18", classes=5, image_size=64)
    with pytest.raises(InputError, match="resizes every image to 64x64, which saves nothing"):
        augury.saliency(resized, "low_resolution")


def test_the_early_head_needs_only_the_first_unit(model: nn.Module, images: Tensor) -> None:
    head = early_head(model, 10)
    assert first_unit(model) is model.stage1[0]
    later = []
    hook = model.stage1[1].register_forward_hook(lambda *_: later.append(1))
    found = augury.saliency(model, "early_head", head=head).map(images, LABELS)
    hook.remove()
    model.eval()
    pixels = images.clone().requires_grad_()
    logits = head.linear(model.stage1[0](model.stem(pixels)).mean((2, 3)))
    logits.gather(1, LABELS[:, None]).sum().backward()
    torch.testing.assert_close(found, pixels.grad.abs().amax(1))
    assert not later


@pytest.mark.parametrize(
    "name", ["small_cnn", "resnet18", "preact_resnet18", "wrn_28_2", "mobilenet_v2_cifar", "torchvision:resnet18"]
)
def test_the_early_head_suits(name: str) -> None:
    model = augury.model(name, classes=4, channels=1)
    found = augury.saliency(model, "early_head", head=early_head(model, 4)).map(torch.randn(2, 1, 32, 32))
    assert found.shape == (2, 32, 32) and bool(found.isfinite().all())


def test_pixels_need_to_know_how_to_be_normalised(model: nn.Module, images: Tensor) -> None:
    pixels = torch.randint(0, 256, (6, 3, 32, 32), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    batch = Batch(pixels, Targets.of(LABELS, 10), torch.arange(6))
    with pytest.raises(InputError, match="mean=..., std="):
        augury.saliency(model)(batch)
    saliency = augury.saliency(model, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    values = (pixels / 255 - torch.tensor([0.5, 0.4, 0.3])[:, None, None]) / torch.tensor([0.2, 0.3, 0.4])[:, None, None]
    found, expected = saliency(batch).saliency, saliency.map(values, LABELS)
    assert found is not None
    # Last bits of the values decide a few rectifiers, and with them the gradient of whole neighbourhoods.
    assert torch.isclose(found, expected, rtol=1e-4, atol=1e-6).float().mean() > 0.8


def test_what_cannot_be_is_refused(model: nn.Module) -> None:
    with pytest.raises(InputError, match="unknown saliency .grad_cam.; known: attention, early_head, full"):
        augury.saliency(model, "grad_cam")
    with pytest.raises(InputError, match="needs head="):
        augury.saliency(model, "early_head")
    with pytest.raises(InputError, match="names no stages"):
        early_head(nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()), 4)


def test_an_empty_batch(model: nn.Module) -> None:
    saliency = augury.saliency(model)
    assert isinstance(saliency, Saliency)
    assert saliency.map(torch.zeros(0, 3, 32, 32)).shape == (0, 32, 32)
