"""BNNeck: batch normalisation between a network's features and its head, for re-identification."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from augury.core.errors import InputError
from augury.core.options import Chain, Spec
from augury.core.registry import register
from augury.train.models.network import Channels, Classes


class BnNeck(nn.Module):
    """A network whose features are normalised before a head without bias.

    `bottleneck` maps the network's features [B,D], between which distances are learned, to the features that are classified
    and compared at test time. Its bias stays 0, so that both are centred on the same origin.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        old = network.head
        if not isinstance(old, nn.Linear):
            raise InputError("--model: bnneck needs a network that ends in a linear head")
        path = next(name for name, module in network.named_modules() if module is old)
        network.set_submodule(path, nn.Identity())
        self.network = network
        self.bottleneck = nn.BatchNorm1d(old.in_features)
        self.bottleneck.bias.requires_grad_(False)
        self.head = nn.Linear(old.in_features, old.out_features, bias=False)
        nn.init.normal_(self.head.weight, std=0.001)
        self.taps = tuple(f"network.{tap}" for tap in getattr(network, "taps", ()))
        self.image_size = getattr(network, "image_size", None)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.bottleneck(self.network(images)))
        return logits


@register("model", "bnneck", source="Luo et al. 2019 (bag of tricks for re-identification, arXiv:1903.07071), section 3.5")
def bnneck(
    *,
    classes: Classes,
    channels: Channels = 3,
    of: Chain = Chain((Spec("resnet18"),)),  # noqa: B008
    last_stride: Literal[1, 2] = 2,
) -> nn.Module:
    """Any network with batch normalisation before a head without bias: `bnneck(torchvision:resnet50(pretrained=true))`.

    last_stride: 1 omits the last halving of the maps, as in the paper (section 3.4): the last stage's maps then have twice
    as many rows and columns, and its weights are unchanged.
    """
    from augury.train.models.build import build

    if len(of.stages) != 1:
        raise InputError(f"--model: bnneck(of={of}): name one network")
    made: Any = build(of.stages[0], classes=classes, channels=channels)
    with torch.no_grad():
        if last_stride == 1:
            _keep_size_in_last_stage(made, str(of))
        return BnNeck(made)


def _keep_size_in_last_stage(network: nn.Module, name: str) -> None:
    """Set the strides of the last stage's convolutions to 1; InputError if no convolution halves the maps, or if pooling does."""
    taps = tuple(getattr(network, "taps", ()))
    stage = network.get_submodule(taps[-1]) if taps else nn.Identity()
    halving = [module for module in stage.modules() if isinstance(module, nn.Conv2d) and module.stride == (2, 2)]
    pools = [m for m in stage.modules() if isinstance(m, nn.AvgPool2d | nn.MaxPool2d) and m.stride in (2, (2, 2))]
    if not halving or pools:
        why = "pooling halves its last stage" if pools else "no convolution halves its last stage"
        raise InputError(f"--model: bnneck(of={name}, last_stride=1): {why}; leave last_stride out")
    for module in halving:
        module.stride = (1, 1)
