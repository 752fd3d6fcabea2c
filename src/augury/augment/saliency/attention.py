"""Attention: where a network's last feature maps are large. One forward pass, no gradient.

Walawalkar et al. 2020 (Attentive CutMix, arXiv:2003.13048), section 3.1: the last feature map as a heat map; averaged over
its channels, in absolute value, since not every network ends its last stage in a ReLU.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from augury.augment.saliency.maps import SaliencyWay
from augury.core.errors import InputError
from augury.core.registry import register


@register("saliency", "attention", source="Walawalkar et al. 2020 (Attentive CutMix, arXiv:2003.13048), section 3.1")
def attention() -> SaliencyWay:
    """How large the network's last feature maps are: one forward pass, no gradient."""
    return SaliencyWay(attention_map, backward=False, labels=False)


def attention_map(network: nn.Module, images: Tensor, labels: Tensor | None = None) -> Tensor:
    """float32 [B,H,W]: the mean absolute value over the channels of the network's last maps, brought to the images' size.

    images: float [B,C,H,W], normalised as the network expects. labels: ignored. Raises InputError for a network without maps.
    """
    place = last_maps(network)
    seen: list[Tensor] = []
    handle = place.register_forward_hook(lambda module, given, made: seen.append(made))
    try:
        with torch.no_grad():
            network(images)
    finally:
        handle.remove()
    if not seen or not isinstance(seen[-1], Tensor) or seen[-1].ndim != 4:
        raise InputError("saliency=attention: the network's last stage gives no maps [B,C,h,w]; use a convolutional network")
    level = seen[-1].float().abs().mean(1, keepdim=True)
    return functional.interpolate(level, images.shape[-2:], mode="bilinear", align_corners=False)[:, 0]


def last_maps(network: nn.Module) -> nn.Module:
    """The part whose output the attention is: the last of the network's `taps`, else its last convolution."""
    taps = getattr(network, "taps", ())
    if taps:
        return network.get_submodule(taps[-1])
    found = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    if not found:
        raise InputError("saliency=attention: the network has no convolutions; use a convolutional network")
    return found[-1]
