"""Length: a drawn length that follows the size of an image, or does not."""

from dataclasses import dataclass

import torch
from torch import Tensor

from augury.core.laws import Law


@dataclass(frozen=True)
class Length:
    """A drawn length: as a share of an image's shorter side, or, with `in_pixels`, in pixels."""

    law: Law
    in_pixels: bool = False

    def pixels(self, u: Tensor, short: Tensor) -> Tensor:
        """int64 [B], from uniforms and shorter sides."""
        drawn = self.law.value(u, torch.ones_like(u)).double()
        return (drawn if self.in_pixels else drawn * short).round().to(torch.int64)

    def most(self, short: int) -> float:
        return self.law.support.high * (1 if self.in_pixels else short)

    def least(self, short: int) -> float:
        return self.law.support.low * (1 if self.in_pixels else short)
