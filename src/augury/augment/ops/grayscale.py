"""Grayscale: colour removed."""

from augury.augment.forms.blend import Degenerate
from augury.augment.ops._lower import recipe
from augury.core.op import Op
from augury.core.registry import register


@register("op", "grayscale", source="Pillow Image.convert('L'); torchvision RandomGrayscale")
def grayscale() -> Op:
    """Replaces the image by its grey version in all channels; by itself, with probability 0.1."""
    return Op("grayscale", "blend", recipe(Degenerate.GREY), p=0.1, rgb=True)
