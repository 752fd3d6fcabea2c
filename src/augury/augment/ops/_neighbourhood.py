"""The lowering of operations that pick a pixel of each pixel's neighbourhood."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from augury.augment.forms.backends import backend
from augury.augment.forms.neighbourhood import MOST_PIXELS as MOST_PIXELS
from augury.augment.forms.neighbourhood import Neighbourhood
from augury.core.op import Values

Footprint = Literal["square", "cross"]


def extreme(footprint: Footprint, *, brightest: bool, longer: Literal["before", "after"]) -> Callable[..., Tensor]:
    """A map operation: the brightest or darkest pixel of a neighbourhood `width` pixels wide and high.

    footprint: all pixels of the square, or those of its middle row and column. longer: the side on which a neighbourhood of even
    width reaches one pixel further; before the pixel (left and top) in SciPy's erosion, after it in SciPy's dilation, which mirrors
    the neighbourhood.
    """
    around = Neighbourhood(brightest, footprint == "square", longer == "after")

    def run(images: Tensor, values: Values, size: Tensor) -> Tensor:
        width = values["width"].round().to(torch.int64).clamp(1, MOST_PIXELS)
        return backend(images.device).extreme(images, width, size, around)

    return run
