"""Early head: logits from a network's first unit, so that a saliency map needs only that part of the network.

Gong et al. 2021 (KeepAugment), section 3.1: average pooling and a linear layer after the first block, trained along with
the network and dropped at test.
"""

import torch
from torch import Tensor, nn

from augury.augment.saliency.gradient import evaluating, gradient_map
from augury.augment.saliency.maps import SaliencyWay
from augury.core.errors import InputError
from augury.core.registry import register


class EarlyHead(nn.Module):
    """Maps [B,C,h,w] of a network's first unit to logits [B,classes]: the average over positions and a linear layer."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, classes)

    def forward(self, maps: Tensor) -> Tensor:
        logits: Tensor = self.linear(maps.mean((2, 3)))
        return logits


def early_head(network: nn.Module, classes: int) -> EarlyHead:
    """A head for that network's first unit, its weights from PyTorch's generator; InputError as `first_unit`."""
    first = next((m for m in network.modules() if isinstance(m, nn.Conv2d)), None)
    parameter = next(network.parameters())
    probe = torch.zeros(1, 3 if first is None else first.in_channels, 32, 32, device=parameter.device)
    with torch.no_grad(), evaluating(network):
        maps = early_maps(network, probe)
    if maps.ndim != 4:
        raise InputError(f"saliency=early_head: the network's first unit gives {list(maps.shape)}, not maps; use saliency=full")
    return EarlyHead(maps.size(1), classes).to(parameter.device)


def first_unit(network: nn.Module) -> nn.Module:
    """The first unit after the stem: the first block of the first stage that consists of blocks. Where no stage does, the
    second stage as it is: the first is the stem.

    Some networks name their stem among the stages (ours, and those built of `features`), others do not (torchvision's and
    timm's ResNets, whose first stage is layer1): what a stage is made of tells them apart. Raises InputError for a network
    without named stages.
    """
    taps: tuple[str, ...] = getattr(network, "taps", ())
    for tap in taps:
        found = _block(network.get_submodule(tap))
        if found is not None:
            return found
    if len(taps) < 2:
        raise InputError("saliency=early_head: the network names no stages (`taps`); use saliency=full or low_resolution")
    return network.get_submodule(taps[1])


def _block(stage: nn.Module) -> nn.Module | None:
    """A stage's first block; None for a run of plain layers, a stem."""
    if not isinstance(stage, nn.Sequential | nn.ModuleList | nn.ModuleDict):
        inner = dict(stage.named_children())
        if "blocks" in inner:  # timm's stages, with a layer for the size before their blocks
            return _block(inner["blocks"])
        return stage if inner else None
    for child in stage.children():
        found = _block(child)
        if found is not None:
            return found
    return None


def early_maps(network: nn.Module, images: Tensor) -> Tensor:
    """What the first unit gives, without computing anything after it."""
    handle = first_unit(network).register_forward_hook(_stop)
    try:
        network(images)
    except _Reached as reached:
        return reached.maps
    finally:
        handle.remove()
    raise InputError("saliency=early_head: the network does not run its first unit; use saliency=full")


class Headed(nn.Module):
    """A network's early head as a network: logits [B,classes] from its first unit."""

    def __init__(self, network: nn.Module, head: EarlyHead) -> None:
        super().__init__()
        self.network, self.head = network, head

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(early_maps(self.network, images))
        return logits


@register("saliency", "early_head", source="Gong et al. 2021 (KeepAugment, arXiv:2011.11778), section 3.1")
def early_head_way() -> SaliencyWay:
    """The gradient of the label's logit in a head on the network's first unit, which is trained along."""
    return SaliencyWay(gradient_map, early_head=True)


class _Reached(Exception):
    def __init__(self, maps: Tensor) -> None:
        super().__init__()
        self.maps = maps


def _stop(module: nn.Module, inputs: object, maps: Tensor) -> None:
    raise _Reached(maps)
