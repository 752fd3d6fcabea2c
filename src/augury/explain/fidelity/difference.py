"""The difference between a result and the reference, as one word and two numbers."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

VERDICTS = ("exact", "within 1", "geometric", "differs", "refuses")


@dataclass(frozen=True)
class Difference:
    """verdict: one of VERDICTS. share: of differing values, in [0, 1]. largest: the largest difference in grey levels.

    `geometric`: the operation moves pixels, and a displacement of at most one pixel explains every value. input: the image that
    shows the difference. reason: why a library refused.
    """

    verdict: str
    share: float = 0.0
    largest: int = 0
    input: str = ""
    reason: str = ""

    @property
    def order(self) -> tuple[int, int, float]:
        """Larger is worse."""
        return VERDICTS.index(self.verdict), self.largest, self.share


def difference(got: Tensor, expected: Tensor, name: str, bounds: Callable[[], tuple[Tensor, Tensor]] | None = None) -> Difference:
    """Compares two uint8 images [C,H,W]; a result of another shape or dtype differs everywhere.

    bounds: for operations that move pixels, the lowest and highest levels that a displacement of one pixel explains.
    """
    if got.shape != expected.shape or got.dtype != expected.dtype:
        found = f"{str(got.dtype).removeprefix('torch.')} {list(got.shape)}"
        return Difference("differs", 1.0, 255, name, f"gives {found} instead of uint8 {list(expected.shape)}")
    apart = (got.to(torch.int16) - expected.to(torch.int16)).abs()
    largest = int(apart.max())
    if largest == 0:
        return Difference("exact", input=name)
    share = float((apart > 0).double().mean())
    if largest == 1:
        return Difference("within 1", share, largest, name)
    verdict = "differs"
    if bounds is not None:
        low, high = bounds()
        verdict = "geometric" if bool(((got >= low) & (got <= high)).all()) else verdict
    return Difference(verdict, share, largest, name)
