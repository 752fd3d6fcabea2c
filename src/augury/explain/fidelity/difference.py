"""How far a result is from the reference, in one word and two numbers."""

from dataclasses import dataclass

import torch
from torch import Tensor

VERDICTS = ("exact", "within 1", "geometric", "differs", "refuses")


@dataclass(frozen=True)
class Difference:
    """verdict: one of VERDICTS. share: of values that differ, in [0,1]. largest: difference in grey levels.

    `geometric`: the operation moves pixels, and every value lies within one level of the range that the reference has in
    the pixel's 3x3 neighbourhood: a displacement of less than a pixel explains it. `input` shows it, `reason` says why a
    library refused.
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


def difference(got: Tensor, expected: Tensor, moves: bool, name: str) -> Difference:
    """Compare two uint8 images [C,H,W]; another shape or dtype differs everywhere."""
    if got.shape != expected.shape or got.dtype != expected.dtype:
        found = f"{str(got.dtype).removeprefix('torch.')} {list(got.shape)}"
        return Difference("differs", 1.0, 255, name, f"gives {found} instead of uint8 {list(expected.shape)}")
    apart = (got.to(torch.int16) - expected.to(torch.int16)).abs()
    largest = int(apart.max())
    if largest == 0:
        return Difference("exact", input=name)
    share = float((apart > 0).double().mean())
    if largest == 1:
        verdict = "within 1"
    else:
        verdict = "geometric" if moves and _nearby(got, expected) else "differs"
    return Difference(verdict, share, largest, name)


def _nearby(got: Tensor, expected: Tensor) -> bool:
    level = expected.to(torch.float32)[None]
    highest = torch.nn.functional.max_pool2d(level, 3, 1, 1)[0] + 1
    lowest = -torch.nn.functional.max_pool2d(-level, 3, 1, 1)[0] - 1
    return bool(((got >= lowest) & (got <= highest)).all())
