"""Grayscale: colour removed."""

import torch
from torch import Tensor

from augury.augment.forms.blend import Blend, Degenerate
from augury.core.op import Op, Values
from augury.core.registry import register


@register("op", "grayscale", source="Pillow Image.convert('L'); torchvision RandomGrayscale")
def grayscale() -> Op:
    """Replaces the image by its grey version in all channels; alone, with probability 0.1."""
    return Op("grayscale", "blend", _lower, p=0.1)


def _lower(values: Values, size: Tensor) -> Blend:
    count, device = len(size), size.device
    return Blend(torch.full((count,), int(Degenerate.GREY), device=device), torch.zeros(count, device=device))
