"""Grad-CAM: the regions of the last feature maps that support a class."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from augury.augment.saliency.gradient import evaluating
from augury.core.errors import InputError


def grad_cam(network: nn.Module, images: Tensor, labels: Tensor | None = None) -> Tensor:
    """float32 [B,H,W], at least 0: Selvaraju et al. 2017 (arXiv:1610.02391), section 3, equations 1 and 2.

    images: float [B,C,H,W], normalised as the network expects. labels: int64 [B]; None takes the largest logit. The last
    maps (the last of `taps`) are weighted by the mean over positions of the logit's gradient, summed, cut off at 0 and
    brought to the images' size bilinearly. Leaves no gradients and the network in its mode. Raises InputError for a network
    that names no taps.
    """
    taps = getattr(network, "taps", ())
    if not taps:
        raise InputError(f"grad_cam: {type(network).__name__} does not name its maps (`taps`); use the gradient")
    seen: list[Tensor] = []

    def keep(module: nn.Module, given: object, made: Tensor) -> Tensor:
        seen.append(made.detach().requires_grad_())
        return seen[-1]

    hook = network.get_submodule(taps[-1]).register_forward_hook(keep)
    try:
        with torch.enable_grad(), evaluating(network):
            logits = network(images)
            index = logits.argmax(1) if labels is None else labels
            (gradient,) = torch.autograd.grad(logits.gather(1, index[:, None]).sum(), seen[-1])
    finally:
        hook.remove()
    maps = (seen[-1].detach() * gradient.mean((2, 3), keepdim=True)).sum(1, keepdim=True).relu().float()
    return functional.interpolate(maps, images.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
