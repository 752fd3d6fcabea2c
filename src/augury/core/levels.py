"""Laws of published magnitudes: the value at each level, exactly as the released code computes it.

Like every law (see `augury.core.laws`), they map a uniform number, which only decides the sign, and a strength to a native
value. They differ between two levels: whole steps, linear interpolation, or the nearest level's value.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from augury.core.devices import constant
from augury.core.options import Interval


@dataclass(frozen=True)
class Stepped:
    """`low` at strength 0, then whole steps towards `high` at strength 1, each worth `unit`, as int() truncates levels.

    Strengths above 1 extrapolate, within `limits`. With `signed`, the sign is drawn.
    """

    low: float
    high: float
    unit: float = 1.0
    signed: bool = False
    limits: Interval = Interval()

    @property
    def support(self) -> Interval:
        ends = [min(max(end * self.unit, self.limits.low), self.limits.high) for end in (self.low, self.high)]
        ends += [-end for end in ends] if self.signed else []
        return Interval(min(ends), max(ends))

    def magnitude(self, strength: Tensor) -> Tensor:
        """The value without its sign."""
        steps = ((strength * (self.high - self.low)).trunc() + self.low) * self.unit
        return steps.clamp(self.limits.low, self.limits.high)

    def value(self, u: Tensor, strength: Tensor) -> Tensor:
        magnitude = self.magnitude(strength)
        return torch.where(u < 0.5, magnitude, -magnitude) if self.signed else magnitude

    def log_prob(self, value: Tensor, strength: Tensor) -> Tensor:
        magnitude = self.magnitude(strength)
        other = -magnitude if self.signed else magnitude
        return (((value == magnitude).float() + (value == other).float()) / 2).log()


@dataclass(frozen=True)
class Levels:
    """Published values at the whole levels 0, 1, ..., linearly interpolated; strength 1 is level `top`.

    At a whole level the value is the published number, rounded once to float32; above the last level it is constant. With
    `signed`, half of the draws mirror the number about `centre` (1 for enhancement factors) before rounding, but never to
    less than `least`.
    """

    numbers: tuple[float, ...]
    top: float
    signed: bool = False
    centre: float = 0.0
    least: float = -math.inf

    @property
    def sides(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The numbers without and with the sign flipped."""
        if not self.signed:
            return self.numbers, self.numbers
        return self.numbers, tuple(max(self.least, 2 * self.centre - number) for number in self.numbers)

    def number(self, strength: float) -> float:
        """The value at a strength, without a sign, in double precision."""
        place = min(max(round(strength * self.top * 4096) / 4096, 0.0), len(self.numbers) - 1.0)
        whole = int(place)
        low, high = self.numbers[whole], self.numbers[min(whole + 1, len(self.numbers) - 1)]
        return low + (high - low) * (place - whole)

    @property
    def support(self) -> Interval:
        ends = [number for side in self.sides for number in side]
        return Interval(min(ends), max(ends))

    def value(self, u: Tensor, strength: Tensor) -> Tensor:
        table = constant(self.sides, torch.float32, u.device).flatten()
        return between(table, (u >= 0.5) * len(self.numbers), strength * self.top, len(self.numbers) - 1)

    def log_prob(self, value: Tensor, strength: Tensor) -> Tensor:
        first, second = (self.value(torch.full_like(strength, u), strength) for u in (0.0, 0.5))
        return (((value == first).float() + (value == second).float()) / 2).log()


def between(table: Tensor, start: Tensor, level: Tensor, last: Tensor | int) -> Tensor:
    """Linear interpolation in the part of a flat `table` that begins at `start`, at `level` in [0, last].

    Levels are rounded to 1/4096, so that a whole level that was stored as a float32 strength gives its number exactly. Where
    `last` is -1, the part is empty and the result has no meaning.
    """
    place = (level * 4096).round() / 4096
    place = (place.minimum(last) if isinstance(last, Tensor) else place.clamp(max=last)).clamp(min=0)
    whole = place.to(torch.int64)
    low = picked(table, start + whole)
    high = picked(table, (start + whole + 1).clamp(max=len(table) - 1))
    return low + (high - low) * (place - whole)


def picked(table: Tensor, index: Tensor) -> Tensor:
    """`table[index]`, for whole numbers from 0 on, in a third of the time."""
    return table.index_select(0, index.flatten()).view(*index.shape, *table.shape[1:])


@dataclass(frozen=True)
class Ladder:
    """A published table of values, one per level; strength selects the nearest level. With `signed`, the sign is drawn."""

    numbers: tuple[float, ...]
    signed: bool = False
    centre: float = 0.0

    @property
    def support(self) -> Interval:
        ends = list(self.numbers) + ([2 * self.centre - n for n in self.numbers] if self.signed else [])
        return Interval(min(ends), max(ends))

    def level(self, strength: Tensor) -> Tensor:
        """The nearest level of each strength: an index into `numbers`, int64."""
        top = len(self.numbers) - 1
        return (strength * top + 0.5).floor().clamp(0, top).to(torch.int64)

    def value(self, u: Tensor, strength: Tensor) -> Tensor:
        table = constant(self.numbers, torch.float32, u.device)
        magnitude = table[self.level(strength)]
        return torch.where(u < 0.5, magnitude, 2 * self.centre - magnitude) if self.signed else magnitude

    def log_prob(self, value: Tensor, strength: Tensor) -> Tensor:
        magnitude = constant(self.numbers, value.dtype, value.device)[self.level(strength)]
        if not self.signed:
            return torch.where(value == magnitude, 0.0, -math.inf)
        half = ((value == magnitude).float() + (value == 2 * self.centre - magnitude).float()) / 2
        return half.log()
