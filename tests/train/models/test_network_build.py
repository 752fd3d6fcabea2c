"""The front door: names, options, refusals; torchvision's and timm's networks behind our protocol."""

import sys
import types
import urllib.error

import pytest
import torch
from torch import nn

from augury.core.errors import InputError, RunError
from augury.core.options import Spec
from augury.train.models import external
from augury.train.models.build import build


def images(side: int, channels: int = 3) -> torch.Tensor:
    return torch.randn(2, channels, side, side, generator=torch.Generator().manual_seed(0))


def test_options_in_brackets_as_keywords_and_as_a_spec_are_one():
    made = [
        build("wide_resnet(depth=10, widen=1)", classes=3),
        build("wide_resnet", classes=3, depth=10, widen=1),
        build(Spec("wide_resnet", {"depth": 10, "widen": 1}), classes=3),
    ]
    assert len({str(network) for network in made}) == 1
    assert str(build("small_cnn(24)", classes=3)) == str(build("small_cnn", classes=3, width=24))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet21", "did you mean 'resnet[0-9]+'"),
        ("resnet50", "did you mean 'torchvision:resnet50'"),
        ("nothing_like_it_at_all", "torchvision:NAME"),
        ("resnet20(shortcut=none_such)", "projection, zero_pad"),
        ("resnet20(shortcuts=zero_pad)", "did you mean 'shortcut'"),
        ("resnet20(classes=3)", "classes"),
        ("resnet20(channels=1)", "channels"),
        ("resnet20(projection, zero_pad)", "key=value"),
        ("wrn_28_2(dropout=1.5)", "from 0 to 1"),
        ("wide_resnet(depth=20)", "6n \\+ 4"),
        ("torchvision:resnet51", "did you mean 'resnet"),
        ("torchvision:squeezenet1_0", "linear layer"),
        ("torchvision:resnet18(pretraind=true)", "did you mean 'pretrained'"),
    ],
)
def test_refusals_name_the_remedy_in_one_line(name, said):
    with pytest.raises(InputError, match=said) as caught:
        build(name, classes=3)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("--model") or "6n" in str(caught.value)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "shufflenet_v2_x0_5", "convnext_tiny"])
def test_torchvision_networks_keep_to_the_protocol(name):
    network = build(f"torchvision:{name}", classes=5, channels=1).eval()
    assert network.head.out_features == 5
    order, seen = [], {}
    for tap in network.taps:
        network.get_submodule(tap).register_forward_hook(lambda _m, _i, _o, tap=tap: order.append(tap))
    network.head.register_forward_hook(lambda _m, given, out: seen.update(features=given[0], logits=out))
    with torch.no_grad():
        logits = network(images(64, 1))
    assert logits.shape == (2, 5)
    assert seen["logits"] is logits
    assert seen["features"].shape == (2, network.head.in_features)
    assert tuple(order) == network.taps
    assert network.taps or name == "shufflenet_v2_x0_5"
    assert len(network.state_dict()) == len({value.data_ptr() for value in network.state_dict().values()})


@pytest.mark.parametrize(("name", "count"), [("resnet18", 11_689_512), ("resnet50", 25_557_032), ("resnet101", 44_549_160)])
def test_torchvisions_published_counts(name, count):
    with torch.device("meta"):
        assert sum(p.numel() for p in build(f"torchvision:{name}", classes=1000).parameters()) == count


def test_taps_of_torchvision_keep_their_values():
    network = build("torchvision:resnet18", classes=5).train()
    kept = []
    for tap in network.taps:
        network.get_submodule(tap).register_forward_hook(lambda _m, _i, out: kept.append((out, out.detach().clone())))
    network(images(32))
    assert len(kept) == 4
    assert all(torch.equal(out, copy) for out, copy in kept)


def test_fixed_size_networks_get_their_size():
    network = external.External(nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2)), "1", (), 8)
    given = images(16)
    assert network(given).shape == (2, 2)
    resized = nn.functional.interpolate(given, (8, 8), mode="bilinear", antialias=True)
    torch.testing.assert_close(network(given), network.network(resized))
    with torch.device("meta"):
        transformer = build("torchvision:vit_b_32(image_size=64)", classes=3, channels=1)
    assert transformer.image_size == 64
    assert transformer.network.image_size == 64


def test_sizes_a_network_cannot_have_are_refused():
    with pytest.raises(InputError, match="vit_b_32 cannot be made"):
        build("torchvision:vit_b_32(image_size=50)", classes=3)
    with pytest.raises(InputError, match="must be 224"):
        external._input_size("timm:x", 224, 64)
    assert external._input_size("timm:x", 224, None) == 224
    assert external._input_size("timm:x", None, 64) == 64


def test_grey_copies_of_pretrained_weights_see_what_colour_saw():
    network = nn.Sequential(nn.Conv2d(3, 4, 3, bias=True))
    colour = network[0]
    grey = images(8, 1)
    expected = colour(grey.expand(-1, 3, -1, -1))
    external._adapt_first_convolution(network, 1, pretrained=True)
    torch.testing.assert_close(network(grey), expected)


def test_inception_in_training_gives_logits_alone():
    with torch.device("meta"):
        network = build("torchvision:googlenet", classes=4).train()
        assert network(torch.randn(2, 3, 64, 64)).shape == (2, 4)


def test_weights_that_cannot_be_had_are_one_line(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise urllib.error.URLError("no route\nto host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refuse)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse, raising=False)
    with pytest.raises(RunError, match="resnet18.*pretrained") as caught:
        build("torchvision:resnet18(pretrained=true)", classes=3)
    assert "\n" not in str(caught.value)


def test_pretrained_networks_keep_their_body_and_get_a_new_head(monkeypatch):
    from torchvision import models

    source = models.resnet18(weights=None)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", lambda *_a, **_k: source.state_dict())
    network = build("torchvision:resnet18(pretrained=true)", classes=3)
    assert network.head.weight.shape == (3, 512)
    assert torch.equal(network.network.layer4[1].conv2.weight, source.layer4[1].conv2.weight)


def test_timm_missing_names_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(InputError, match="pip install 'augury\\[timm\\]'"):
        build("timm:resnet50d", classes=3)


def test_timm_is_asked_for_classes_channels_and_weights(monkeypatch):
    asked = {}

    def create_model(name, *, pretrained, num_classes, in_chans):
        asked.update(name=name, pretrained=pretrained)
        if pretrained:
            raise OSError("offline")
        network = nn.Sequential()
        network.stages = nn.Sequential(nn.Conv2d(in_chans, 4, 3), nn.ReLU(inplace=True))
        network.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        network.fc = nn.Linear(4, num_classes)
        return network

    known = ["resnet50d", "efficientnet_b3"]
    fake = types.SimpleNamespace(create_model=create_model, is_model=known.__contains__, list_models=lambda: known)
    monkeypatch.setitem(sys.modules, "timm", fake)
    network = build("timm:resnet50d", classes=3, channels=1)
    assert network.taps == ("network.stages.0", "network.stages.1")
    assert network(images(8, 1)).shape == (2, 3)
    assert asked == {"name": "resnet50d", "pretrained": False}
    with pytest.raises(InputError, match="did you mean 'resnet50d'"):
        build("timm:resnet50e", classes=3)
    with pytest.raises(RunError, match="timm:resnet50d.*offline"):
        build("timm:resnet50d(pretrained=true)", classes=3)


def test_a_real_timm_network():
    pytest.importorskip("timm")
    with torch.device("meta"):
        network = build("timm:resnet50d", classes=1000)
    assert sum(p.numel() for p in network.parameters()) == 25_576_264
    assert network.taps == tuple(f"network.layer{i}" for i in (1, 2, 3, 4))
