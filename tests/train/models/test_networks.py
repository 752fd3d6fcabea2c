"""What every network must do: shapes, gradients, taps and head; the large ones in their small relatives."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from augury.train.models.build import build
from augury.train.models.network import Network, Subsample
from augury.train.models.pyramidnet import pyramidnet
from augury.train.models.shake_shake import shake_shake

Make = Callable[..., nn.Module]


def named(name: str) -> Make:
    return lambda **given: build(name, **given)


def small_shake(variant: str) -> Make:
    return lambda *, classes, channels=3, stem_stride=1: shake_shake(8, 8, classes, channels, variant, "uniform", stem_stride)


def small_pyramid(*, classes: int, channels: int = 3, stem_stride: int = 1) -> nn.Module:
    return pyramidnet(29, 30, 0.5, "image", classes, channels, stem_stride)


NETWORKS: dict[str, Make] = {
    "small_cnn": named("small_cnn"),
    "patch_cnn": named("patch_cnn"),
    "resnet20": named("resnet20"),
    "resnet20 zero_pad": named("resnet20(shortcut=zero_pad)"),
    "resnet18": named("resnet18"),
    "preact_resnet18": named("preact_resnet18"),
    "preact_resnet18 norms": named("preact_resnet18(stem_norm=true, final_norm=true)"),
    "wrn": named("wide_resnet(depth=10, widen=2, dropout=0.3)"),
    "wrn bias": named("wide_resnet(depth=10, widen=1, bias=true)"),
    "wrn tensorflow": named("wide_resnet(depth=16, widen=2, shortcut=zero_pad, extra_skips=true)"),
    "shake_shake": small_shake("fast_autoaugment"),
    "shake_shake dauphin": small_shake("dauphin"),
    "pyramidnet": small_pyramid,
    "mobilenet_v2_cifar": named("mobilenet_v2_cifar"),
}
every_network = pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS.keys())


def seeded(make: Make, seed: int = 0, **given: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make(**given)


def images(rows: int, columns: int, channels: int = 3, count: int = 2, seed: int = 1) -> torch.Tensor:
    return torch.randn(count, channels, rows, columns, generator=torch.Generator().manual_seed(seed))


@every_network
@pytest.mark.parametrize(
    ("rows", "columns", "channels", "stem_stride"), [(32, 32, 3, 1), (16, 16, 1, 1), (64, 64, 3, 2), (33, 29, 1, 1)]
)
def test_logits_for_every_size(make, rows, columns, channels, stem_stride):
    network = seeded(make, classes=7, channels=channels, stem_stride=stem_stride).eval()
    with torch.no_grad():
        logits = network(images(rows, columns, channels))
    assert logits.shape == (2, 7)
    assert logits.isfinite().all()
    assert not torch.allclose(logits[0], logits[1])


@every_network
def test_stem_stride_halves_the_maps(make):
    network = seeded(make, classes=2, stem_stride=2).eval()
    plain = seeded(make, classes=2).eval()
    sizes = []
    for which, side in ((network, 64), (plain, 32)):
        which.get_submodule(which.taps[-1]).register_forward_hook(lambda _m, _i, out: sizes.append(out.shape[-2:]))
        with torch.no_grad():
            which(images(side, side))
    assert sizes[0] == sizes[1]


@every_network
def test_gradients_reach_every_trained_parameter(make):
    network = seeded(make, classes=3).train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network(images(16, 16, count=8)).square().sum().backward()
    trained = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    assert trained
    for name, parameter in trained:
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0 or name.endswith("bias"), name


@every_network
def test_the_same_seed_gives_the_same_weights_and_noise(make):
    def run(seed: int) -> torch.Tensor:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = make(classes=3).train()
            return network(images(16, 16)).detach()

    assert torch.equal(run(5), run(5))
    assert not torch.equal(run(5), run(6))


@every_network
def test_taps_run_in_order_and_the_head_gives_the_logits(make):
    network = seeded(make, classes=3).eval()
    order, seen = [], {}
    for name in network.taps:
        network.get_submodule(name).register_forward_hook(lambda _m, _i, _o, name=name: order.append(name))
    network.head.register_forward_hook(lambda _m, given, out: seen.update(features=given[0], logits=out))
    with torch.no_grad():
        logits = network(images(16, 16))
    assert tuple(order) == network.taps
    assert isinstance(network.head, nn.Linear)
    assert seen["logits"] is logits
    assert seen["features"].shape == (2, network.head.in_features)


@every_network
def test_all_that_follows_a_tap_depends_on_it_alone(make):
    """Swapping the images of a pair at any tap swaps their logits: Manifold Mixup mixes all, or it mixes nothing."""
    network = seeded(make, classes=3).eval()
    pair = images(16, 16)
    with torch.no_grad():
        expected = network(pair).flip(0)
        for name in network.taps:
            hook = network.get_submodule(name).register_forward_hook(lambda _m, _i, out: out.flip(0))
            torch.testing.assert_close(network(pair), expected)
            hook.remove()


@every_network
def test_nothing_overwrites_what_a_tap_gave(make):
    network = seeded(make, classes=3).train()
    kept = []
    for name in network.taps:
        network.get_submodule(name).register_forward_hook(lambda _m, _i, out: kept.append((out, out.detach().clone())))
    network(images(16, 16))
    assert len(kept) == len(network.taps)
    assert all(torch.equal(out, copy) for out, copy in kept)


@every_network
def test_saliency_through_func_vjp_equals_backward(make):
    network = seeded(make, classes=3).eval()
    given = images(16, 16).requires_grad_()
    logits, pull = torch.func.vjp(network, given.detach())
    (through,) = pull(torch.ones_like(logits))
    (plain,) = torch.autograd.grad(network(given).sum(), given)
    torch.testing.assert_close(through, plain)


@pytest.mark.parametrize("name", ["resnet20", "wide_resnet(depth=10)"])
def test_convolutions_start_with_hes_variance(name):
    network = seeded(named(name), classes=10)
    large = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.weight.numel() > 9000]
    assert large
    for module in large:
        positions = module.kernel_size[0] * module.kernel_size[1]
        assert module.weight.var().item() == pytest.approx(2 / (positions * module.out_channels), rel=0.05)


def test_he_counts_a_depthwise_filters_own_outputs():
    network = seeded(named("mobilenet_v2_cifar"), classes=10)
    depthwise = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.groups > 500]
    assert depthwise
    assert all(m.weight.var().item() == pytest.approx(2 / 9, rel=0.1) for m in depthwise)


def test_zero_pad_picks_positions_and_leaves_new_channels_empty():
    maps = images(5, 4)
    picked = Subsample(3, 7, 2, "pick")(maps)
    assert torch.equal(picked[:, :3], maps[:, :, [0, 2, 4]][..., [0, 2]])
    assert picked.shape == (2, 7, 3, 2)
    assert picked[:, 3:].count_nonzero() == 0


def test_average_shortcut_divides_by_what_is_there():
    maps = torch.arange(9.0).reshape(1, 1, 3, 3)
    averaged = Subsample(1, 3, 2, "average", "both")(maps)
    assert torch.equal(averaged[0, 1], torch.tensor([[2.0, 3.5], [6.5, 8.0]]))
    assert averaged[0, [0, 2]].count_nonzero() == 0


def test_zero_pad_and_projection_agree_where_the_projection_is_told_to_pad():
    projected = seeded(named("resnet20"), classes=4).eval()
    padded = seeded(named("resnet20(shortcut=zero_pad)"), classes=4).eval()
    weights = {k: v for k, v in projected.state_dict().items() if ".shortcut." not in k}
    padded.load_state_dict(weights)
    given = images(17, 16)
    with torch.no_grad():
        assert not torch.allclose(projected(given), padded(given))
        for module in projected.modules():
            if isinstance(getattr(module, "shortcut", None), nn.Sequential):
                convolution, norm = module.shortcut
                convolution.weight.copy_(torch.eye(convolution.out_channels, convolution.in_channels)[..., None, None])
                norm.weight.fill_((1 + norm.eps) ** 0.5)
        torch.testing.assert_close(projected(given), padded(given))


def test_dropout_is_between_the_convolutions_and_only_in_training():
    network = seeded(named("wide_resnet(depth=10, widen=1, dropout=1.0)"), classes=4)
    seen = []
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.register_forward_hook(lambda _m, _i, out: seen.append(out.count_nonzero().item()))
    network.train()(images(16, 16))
    assert seen == [0, 0, 0]
    seen.clear()
    network.eval()(images(16, 16))
    assert len(seen) == 3
    assert min(seen) > 0


def test_extra_skips_add_the_stem_to_the_end():
    """With every convolution after the stem silenced, the shortcuts alone carry the image: once per path."""
    network = seeded(named("wide_resnet(depth=10, widen=1, shortcut=zero_pad, extra_skips=true)"), classes=4).eval()
    assert isinstance(network, Network)
    for module in network.body.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.zeros_(module.weight)
    found = {}
    network.stem.register_forward_hook(lambda _m, _i, out: found.update(stem=out))
    network.body.register_forward_hook(lambda _m, _i, out: found.update(body=out))
    with torch.no_grad():
        network(images(16, 16))
    # Each of three stages doubles what comes (its blocks' shortcut and its own); one more leads around all.
    expected = Subsample(16, 64, 4, "average", "both")(found["stem"]) * 9
    torch.testing.assert_close(found["body"], expected)
