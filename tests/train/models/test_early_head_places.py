"""Where the early head sits, family by family: after the first unit behind the stem."""

import pytest
import torch
from torch import nn

import augury
from augury.augment.saliency.early_head import first_unit

PLACES = {
    "resnet20": "stage1.0", "resnet18": "stage1.0", "preact_resnet18": "stage1.0", "wrn_28_2": "stage1.0",
    "shake_shake_26_2x32d": "stage1.0", "mobilenet_v2_cifar": "stage1.0",
    "small_cnn": "stage1", "patch_cnn": "stage1",
    "torchvision:resnet18": "network.layer1.0", "torchvision:resnet50": "network.layer1.0",
    "torchvision:mobilenet_v2": "network.features.1", "torchvision:mobilenet_v3_small": "network.features.1",
    "torchvision:efficientnet_b0": "network.features.1.0", "torchvision:convnext_tiny": "network.features.1.0",
    "torchvision:densenet121": "network.features.denseblock1.denselayer1", "torchvision:vgg11": "network.features.1",
    "timm:resnet18": "network.layer1.0", "timm:efficientnet_b0": "network.blocks.0.0",
    "timm:convnext_atto": "network.stages.0.blocks.0",
}  # fmt: skip


def work(network: nn.Module, until: nn.Module | None = None) -> int:
    """Multiply-adds of the convolutions and linear layers of one image, up to a module."""
    total, over = [0], [False]

    def count(module: nn.Module, inputs: object, output: torch.Tensor) -> None:
        if over[0]:
            return
        if isinstance(module, nn.Conv2d):
            total[0] += output.numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            total[0] += module.weight.numel()
        over[0] = module is until

    handles = [module.register_forward_hook(count) for module in network.modules()]
    with torch.no_grad():
        network.eval()(torch.zeros(1, 3, 64, 64))
    for handle in handles:
        handle.remove()
    return total[0]


@pytest.mark.parametrize("name", PLACES)
def test_the_early_head_is_behind_the_first_unit(name: str) -> None:
    """Catches a stage too late where a network does not name its stem: layer2.0, with 28 % of the work instead of 9."""
    if name.startswith("timm:"):
        pytest.importorskip("timm", reason="timm is not installed")
    network = augury.model(name, classes=10)
    found = first_unit(network)
    places = [path for path, module in network.named_modules() if module is found]
    assert places == [PLACES[name]]


def test_it_takes_a_tenth_of_a_resnets_work() -> None:
    network = augury.model("torchvision:resnet18", classes=1000)
    assert 0.1 < work(network, first_unit(network)) / work(network) < 0.25
