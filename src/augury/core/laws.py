"""Laws: how a uniform number and a strength become a native value (degrees, factors, fractions).

A law is a quantile function. `value(u, strength)` is pure, so the same uniform numbers give the same values on replay, for
any batch size and on every device. It uses only additions, products, comparisons and table look-ups, because PyTorch's
vectorised exp, log and pow may differ in the last bit between a full vector and a remainder.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from augury.core.devices import constant
from augury.core.errors import InputError
from augury.core.levels import Ladder, Levels, Stepped
from augury.core.options import Interval, Spec, bind


@runtime_checkable
class Law(Protocol):
    """`value(u, strength)`: native values, from u float32 in [0, 1) and strength float32 in [0, 1], all of one shape.

    `log_prob(value, strength)`: log density, or log probability if the law is discrete. `support`: the interval of all
    values at any strength.
    """

    @property
    def support(self) -> Interval:
        """All values that the law can give, over all strengths."""
        ...

    def value(self, u: Tensor, strength: Tensor) -> Tensor:
        """The values at uniform numbers `u`: the law's quantiles."""
        ...

    def log_prob(self, value: Tensor, strength: Tensor) -> Tensor:
        """The log density of each value, or its log probability where the law is discrete."""
        ...


@dataclass(frozen=True)
class Constant:
    """Always `number`."""

    number: float

    @property
    def support(self) -> Interval:
        return Interval(self.number, self.number)

    def value(self, u: Tensor, strength: Tensor) -> Tensor:
        return torch.full_like(u, self.number)

    def log_prob(self, value: Tensor, strength: Tensor) -> Tensor:
        return torch.where(value == self.number, 0.0, -math.inf)


@dataclass(frozen=True)
class Uniform:
    """Uniform on [low, high)."""

    low: float
    high: float

    @property
    def support(self) -> Interval:
        return Interval(self.low, self.high)

    def value(self, u: Tensor, strength: Tensor) -> Tensor:
        return u * (self.high - self.low) + self.low

    def log_prob(self, value: Tensor, strength: Tensor) -> Tensor:
        inside = (value >= self.low) & (value <= self.high)
        return torch.where(inside, -math.log(max(self.high - self.low, 1e-300)), -math.inf)


@dataclass(frozen=True)
class LogUniform:
    """Uniform in the logarithm on [low, high), both above 0: factors and their inverses are equally likely."""

    low: float
    high: float

    @property
    def support(self) -> Interval:
        return Interval(self.low, self.high)

    def value(self, u: Tensor, strength: Tensor) -> Tensor:
        # In float64: its last bit may depend on the batch's length, and rounding to float32 drops it.
        exponent = u.double() * math.log(self.high / self.low) + math.log(self.low)
        return exponent.exp().to(u.dtype).clamp(self.low, self.high)

    def log_prob(self, value: Tensor, strength: Tensor) -> Tensor:
        inside = (value >= self.low) & (value <= self.high)
        return torch.where(inside, -value.log() - math.log(math.log(self.high / self.low)), -math.inf)


@dataclass(frozen=True)
class Choice:
    """One of `numbers`, each equally likely."""

    numbers: tuple[float, ...]

    @property
    def support(self) -> Interval:
        return Interval(min(self.numbers), max(self.numbers))

    def value(self, u: Tensor, strength: Tensor) -> Tensor:
        table = constant(self.numbers, torch.float32, u.device)
        return table[(u * len(self.numbers)).to(torch.int64)]

    def log_prob(self, value: Tensor, strength: Tensor) -> Tensor:
        table = constant(self.numbers, value.dtype, value.device)
        return ((value[..., None] == table).sum(-1) / len(self.numbers)).log()


@dataclass(frozen=True)
class Linear:
    """Linear in the strength, from `low` at 0 to `high` at 1; with `signed`, the sign is drawn.

    The magnitudes of the AutoAugment family. A negative sign mirrors about `centre` (1 for enhancement factors, 0 for angles).
    """

    low: float
    high: float
    signed: bool = False
    centre: float = 0.0

    @property
    def support(self) -> Interval:
        ends = [self.low, self.high]
        if self.signed:
            ends += [2 * self.centre - self.low, 2 * self.centre - self.high]
        return Interval(min(ends), max(ends))

    def value(self, u: Tensor, strength: Tensor) -> Tensor:
        magnitude = strength * (self.high - self.low) + self.low
        if not self.signed:
            return magnitude
        return torch.where(u < 0.5, magnitude, 2 * self.centre - magnitude)

    def log_prob(self, value: Tensor, strength: Tensor) -> Tensor:
        magnitude = strength * (self.high - self.low) + self.low
        if not self.signed:
            return torch.where(value == magnitude, 0.0, -math.inf)
        other = 2 * self.centre - magnitude
        half = ((value == magnitude).float() + (value == other).float()) / 2
        return half.log()


@dataclass(frozen=True)
class Beta:
    """The Beta(a, b) law of Mixup and CutMix; its quantiles have a relative error of at most 3e-6 for a and b of at least 0.2.

    The quantile function is tabulated per octave of u (of 1 - u above one half), so that the power-law tails of a small `a`
    are as accurate as the middle.
    """

    a: float
    b: float

    @property
    def support(self) -> Interval:
        return Interval(0.0, 1.0)

    def value(self, u: Tensor, strength: Tensor) -> Tensor:
        if self.a == self.b == 1:
            return u
        return (_opaque_beta if torch.compiler.is_compiling() else _beta_quantile)(u, self.a, self.b)

    def log_prob(self, value: Tensor, strength: Tensor) -> Tensor:
        norm = math.lgamma(self.a + self.b) - math.lgamma(self.a) - math.lgamma(self.b)
        # xlogy, because at an end of the support 0 x log 0 is 0.
        slope = torch.xlogy(self.a - 1, value) + torch.xlogy(self.b - 1, 1 - value)
        return torch.where((value >= 0) & (value <= 1), slope + norm, -math.inf)


_OCTAVES, _STEPS = 25, 1024


def _beta_quantile(u: Tensor, a: float, b: float) -> Tensor:
    low, high = _beta_tables(a, b, u.device)
    lower = _interpolate(u, low)
    upper = 1 - _interpolate(1 - u, high)
    return torch.where(u < 0.5, lower, upper).to(u.dtype)


# An operation of its own where PyTorch's compiler works, which cannot make the tables: it is given a new tensor, not the tables.
_opaque_beta = torch.library.custom_op("augury::beta_quantile", _beta_quantile, mutates_args=())
_opaque_beta.register_fake(lambda u, a, b: torch.empty_like(u))


@functools.cache
def _beta_tables(a: float, b: float, device: torch.device) -> tuple[Tensor, Tensor]:
    from scipy.special import betaincinv

    octave = np.exp2(-np.arange(1, _OCTAVES + 1))[:, None] * (1 + np.arange(_STEPS + 1) / _STEPS)
    with torch.inference_mode(False):
        low, high = (torch.from_numpy(betaincinv(*shapes, octave)).to(device) for shapes in ((a, b), (b, a)))
    return low, high


def _interpolate(u: Tensor, table: Tensor) -> Tensor:
    """The table [octave, step] at u in (0, 1]; below the last octave, values fall linearly to 0."""
    mantissa, exponent = torch.frexp(u.double())
    octave = (-exponent).clamp(0, _OCTAVES - 1).to(torch.int64)
    place = (mantissa * 2 - 1).clamp(0, 1) * _STEPS
    step = place.to(torch.int64).clamp(0, _STEPS - 1)
    left, right = table[octave, step], table[octave, step + 1]
    inside = left + (right - left) * (place - step)
    # The exponent of 0 is 0, which is also that of one half.
    return torch.where((-exponent > _OCTAVES - 1) | (u == 0), table[-1, 0] * u.double() * 2.0**_OCTAVES, inside)


def law_from(value: object, where: str) -> Law:
    """A law from a number, a list of numbers, a law, or a name with options such as `uniform(-30, 30)`, parsed as a Spec."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Constant(_finite(value, where))
    if isinstance(value, list | tuple) and value:
        return Choice(tuple(_finite(v, where) for v in value))
    if isinstance(value, Spec):
        if value.name not in _NAMED:
            raise InputError(f"{where}: unknown law {value.name!r}; known: {', '.join(_NAMED)}")
        make, keys = _NAMED[value.name]
        spec = Spec(value.name, {**dict(zip(keys, value.first, strict=False)), **value.options}, value.first[len(keys) :])
        return make(**bind(make, spec, where))
    if isinstance(value, Constant | Uniform | LogUniform | Choice | Linear | Stepped | Levels | Ladder | Beta):
        return value
    raise InputError(f"{where} must be a number, a list of numbers or a law such as uniform(-30, 30)")


def _finite(value: object, where: str) -> float:
    """The number as a float; InputError if it is not a finite number within float32's range."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e38:
        raise InputError(f"{where}: {value} is not a finite number")
    return float(value)


def _uniform(*, low: float, high: float) -> Law:
    low, high = _finite(low, "uniform"), _finite(high, "uniform")
    if not low <= high:
        raise InputError(f"uniform({low:g}, {high:g}): the first number must not be above the second")
    return Uniform(low, high)


def _log_uniform(*, low: float, high: float) -> Law:
    if not 0 < low <= high:
        raise InputError(f"log_uniform({low:g}, {high:g}): both numbers must be above 0, the first not above the second")
    return LogUniform(low, high)


def _beta(*, a: float, b: float | None = None) -> Law:
    if not 0 < a < 1e6 or (b is not None and not 0 < b < 1e6):
        raise InputError(f"beta({a:g}): both shapes must be above 0 and below a million")
    return Beta(a, a if b is None else b)


def _linear(*, low: float, high: float, signed: bool = False, centre: float = 0.0) -> Law:
    return Linear(_finite(low, "linear"), _finite(high, "linear"), signed, _finite(centre, "linear"))


def _stepped(*, low: float, high: float, unit: float = 1.0, signed: bool = False) -> Law:
    return Stepped(_finite(low, "stepped"), _finite(high, "stepped"), _finite(unit, "stepped"), signed)


def _ladder(*, numbers: tuple[float, ...], signed: bool = False, centre: float = 0.0) -> Law:
    if not numbers:
        raise InputError("ladder: needs at least one number, for example ladder([0, 10, 20])")
    return Ladder(tuple(_finite(n, "ladder") for n in numbers), signed, _finite(centre, "ladder"))


def law_to_grammar(law: Law) -> object:
    """A law as the grammar writes it: a number, a list of numbers or a `Spec`; InputError if it is not one of Augury's."""
    match law:
        case Constant(number):
            return number
        case Choice(numbers):
            return list(numbers)
        case Uniform(low, high):
            return Spec("uniform", {}, (low, high))
        case LogUniform(low, high):
            return Spec("log_uniform", {}, (low, high))
        case Beta(a, b):
            return Spec("beta", {}, (a, b))
        case Linear(low, high, signed, centre):
            return Spec("linear", {"signed": signed, "centre": centre}, (low, high))
        case Stepped(low, high, unit, signed):
            return Spec("stepped", {"unit": unit, "signed": signed}, (low, high))
        case Ladder(numbers, signed, centre):
            return Spec("ladder", {"signed": signed, "centre": centre}, (list(numbers),))
    raise InputError(f"{type(law).__name__}: a custom law cannot be written as text; make it the default of a custom operation")


_NAMED: dict[str, tuple[Callable[..., Law], tuple[str, ...]]] = {
    "uniform": (_uniform, ("low", "high")),
    "log_uniform": (_log_uniform, ("low", "high")),
    "beta": (_beta, ("a", "b")),
    "linear": (_linear, ("low", "high")),
    "stepped": (_stepped, ("low", "high")),
    "ladder": (_ladder, ("numbers",)),
}
