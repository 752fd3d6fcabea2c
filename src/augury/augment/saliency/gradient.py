"""The vanilla gradient: how much each pixel changes the label's logit.

Simonyan et al. 2013 (arXiv:1312.6034), section 3; as Gong et al. 2021 (KeepAugment), section 3, use it: the logit and not
the loss, absolute values, the largest over the channels; and their section 3.1 for the map from a copy of half the size.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from augury.augment.saliency.maps import SaliencyWay
from augury.core.errors import InputError
from augury.core.registry import register

Logits = Callable[[Tensor], Tensor]


@contextmanager
def evaluating(*modules: nn.Module) -> Iterator[None]:
    """Evaluation mode within the block; every module's own mode is restored afterwards."""
    switched = [part for module in modules for part in module.modules() if part.training]
    for part in switched:
        part.training = False
    try:
        yield
    finally:
        for part in switched:
            part.training = True


def gradient_map(logits: Logits, images: Tensor, labels: Tensor | None) -> Tensor:
    """float32 [B,H,W]: the largest absolute derivative over the channels of each image's label logit.

    images: float [B,C,H,W], normalised as the network expects. labels: int64 [B]; None takes the largest logit.
    Differentiates with respect to the images only: parameters get no gradients and their graph is not recorded. Under automatic
    mixed precision, bfloat16 is kept, since it has float32's range; float16 is switched off, since small gradients vanish.
    """
    kind = images.device.type
    half = torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) == torch.bfloat16
    # Without its own cache, weights cast here without a graph would be met again by the training's forward pass.
    with torch.no_grad(), torch.autocast(kind, torch.bfloat16, enabled=half, cache_enabled=False):
        found, pull = torch.func.vjp(logits, images)[:2]
        index = found.argmax(1) if labels is None else labels
        (gradient,) = pull(torch.zeros_like(found).scatter_(1, index[:, None], 1.0))
    return gradient.abs().amax(1).to(torch.float32)


@register(
    "saliency", "full", source="Simonyan et al. 2013 (arXiv:1312.6034), section 3; Gong et al. 2021 (arXiv:2011.11778), section 3"
)
def full() -> SaliencyWay:
    """The gradient of the label's logit: absolute values, the largest over the channels."""
    return SaliencyWay(gradient_map)


@register("saliency", "low_resolution", source="Gong et al. 2021 (KeepAugment, arXiv:2011.11778), section 3.1")
def low_resolution() -> SaliencyWay:
    """The gradient of the label's logit, from a copy of half the height and width: a quarter of the cost."""
    return SaliencyWay(low_resolution_map, other_size=True)


def low_resolution_map(logits: Logits, images: Tensor, labels: Tensor | None) -> Tensor:
    """As `gradient_map`, from a bicubic copy of half the height and width, brought back to [B,H,W] bilinearly.

    Raises InputError if the network does not accept images of that size.
    """
    height, width = images.shape[-2:]
    small = functional.interpolate(images, (max(1, height // 2), max(1, width // 2)), mode="bicubic", align_corners=False)
    small = small.contiguous(memory_format=torch.channels_last)
    try:
        found = gradient_map(logits, small, labels)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, AssertionError, IndexError) as error:
        rows, columns = small.shape[-2:]
        raise InputError(
            f"saliency=low_resolution: the network does not take images of {rows}x{columns} "
            f"({str(error).splitlines()[0][:80]}); use saliency=full or saliency=early_head"
        ) from None
    return functional.interpolate(found[:, None], (height, width), mode="bilinear", align_corners=False)[:, 0]
