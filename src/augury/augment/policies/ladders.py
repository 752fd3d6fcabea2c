"""Published magnitude ladders, which map a strength in [0, 1] to parameter values for each operation.

The conventions disagree: level 5 of `color` is the identity in one and a strong change in another. A ladder maps the name of
an operation to its fixed options and to the laws of its parameters; strength 1 is the level `top`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from augury.augment.ops.build import op
from augury.core.errors import InputError
from augury.core.laws import Law, Linear
from augury.core.levels import Ladder, Levels, Stepped
from augury.core.options import Interval
from augury.core.plan import SpaceEntry
from augury.core.registry import unknown

Laws = Mapping[str, Law]
FREE = ("identity", "auto_contrast", "equalize", "invert")
GEOMETRIC = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
ENHANCE = ("brightness", "color", "contrast", "sharpness")


LARGEST_MAGNITUDE = 30  # RandAugment's; scales that end at 10 are extrapolated up to it


@dataclass(frozen=True)
class Magnitudes:
    """A ladder. top: the level at strength 1. entries: operation name to its options and laws. fill: the grey level outside.

    most: the largest level, by default `top`. Laws are clipped to the range that their operation accepts.
    """

    name: str
    top: float
    entries: Mapping[str, tuple[dict[str, Any], Laws]]
    fill: int = 0
    most: float | None = None

    def entry(self, name: str, fill: int | None = None) -> SpaceEntry:
        """The operation as an entry of a space. Raises InputError if the ladder has no values for it."""
        if name not in self.entries:
            raise InputError(f"ladder {self.name}: no values for {name!r}; it has {', '.join(sorted(self.entries))}")
        options, laws = self.entries[name]
        paint: dict[str, Any] = {"fill": self.fill if fill is None else fill} if name in (*GEOMETRIC, "cutout") else {}
        made = {**paint, **options}
        operation = op(name, **made)
        within = {key: _within(law, operation.parameters[key].range) for key, law in laws.items()}
        return SpaceEntry(operation, within, made)

    def strength(self, level: float) -> float:
        """A level as a strength. Raises InputError for a level above the ladder's largest."""
        most = self.top if self.most is None else self.most
        if not 0 <= level <= most:
            raise InputError(f"ladder {self.name}: its levels go from 0 to {most:g}, and {level:g} is none of them")
        return level / self.top


def ladder(name: str) -> Magnitudes:
    """A ladder by name. Raises InputError naming the most similar one."""
    if name not in LADDERS:
        raise InputError(f"ladder: {unknown('ladder', name, list(LADDERS))}")
    return LADDERS[name]()


def _within(law: Law, accepted: Interval) -> Law:
    """The law, clipped to the operation's own range."""
    if isinstance(law, Levels):
        numbers = tuple(min(max(number, accepted.low), accepted.high) for number in law.numbers)
        return replace(law, numbers=numbers, least=max(accepted.low, law.least))
    if isinstance(law, Stepped):
        return replace(law, limits=Interval(max(accepted.low, law.limits.low), min(accepted.high, law.limits.high)))
    return law


def _line(
    low: float, high: float, top: float = 10, *, signed: bool = False, centre: float = 0.0, least: float = -math.inf
) -> Levels:
    """Linear values from level 0 to `top`, extrapolated to the largest magnitude, in double precision."""
    levels = range(LARGEST_MAGNITUDE + 1 if top == 10 else int(top) + 1)
    return Levels(tuple(level / top * (high - low) + low for level in levels), top, signed, centre, least)


def _plain(**laws: Law) -> tuple[dict[str, Any], Laws]:
    return {}, laws


def _free() -> dict[str, tuple[dict[str, Any], Laws]]:
    return {name: _plain() for name in FREE}


def _shears(high: float = 0.3, top: float = 10) -> dict[str, tuple[dict[str, Any], Laws]]:
    return {name: _plain(slope=_line(0, high, top, signed=True)) for name in ("shear_x", "shear_y")}


def _translations(law: Law, **options: object) -> dict[str, tuple[dict[str, Any], Laws]]:
    return {name: (options, {"fraction": law}) for name in ("translate_x", "translate_y")}


def _enhance(law: Law) -> dict[str, tuple[dict[str, Any], Laws]]:
    return {name: _plain(factor=law) for name in ENHANCE}


def _tf() -> Magnitudes:
    """AutoAugment's CIFAR code. Pixels are those of 32 and scale with the side; enhancement at level 5 is the identity."""
    entries = {
        **_free(), **_shears(), **_translations(Stepped(0, 10, 1 / 32, signed=True)), **_enhance(_line(0.1, 1.9)),
        "rotate": _plain(degrees=Stepped(0, 30, signed=True)),
        "posterize": _plain(bits=Stepped(4, 0)),
        "solarize": _plain(threshold=Stepped(256, 0)),
        "cutout": _plain(fraction=Stepped(0, 20, 1 / 32)),
        "sample_pairing": _plain(other=_line(0, 0.4)),
    }  # fmt: skip
    return Magnitudes("tf", 10, entries, fill=128, most=LARGEST_MAGNITUDE)


def _tpu(published: bool) -> Magnitudes:
    """AutoAugment's ImageNet code; pixels are those of 224 and scale with the side.

    As published, posterize and solarize get weaker as the level grows, posterize is black below level 3, and contrast
    blends with a grey that depends on the number of pixels. Repaired: 8 to 4 bits (the paper's range), thresholds from
    256 down to 0, Pillow's contrast.
    """
    name = "tpu_published" if published else "tpu"
    contrast = {"mean": "pixel_count"} if published else {}
    entries = {
        **_free(), **_shears(), **_translations(_line(0, 250 / 224, signed=True)), **_enhance(_line(0.1, 1.9)),
        "contrast": (contrast, {"factor": _line(0.1, 1.9)}),
        "rotate": _plain(degrees=_line(0, 30, signed=True)),
        "posterize": _plain(bits=Stepped(0, 4) if published else Stepped(8, 4)),
        "solarize": _plain(threshold=Stepped(0, 256) if published else Stepped(256, 0)),
        "solarize_add": _plain(amount=Stepped(0, 110)),
        "cutout": _plain(fraction=Stepped(0, 100, 2 / 224)),
    }  # fmt: skip
    return Magnitudes(name, 10, entries, fill=128, most=LARGEST_MAGNITUDE)


def _linspace(low: float, high: float, bins: int) -> list[float]:
    """torchvision's magnitudes, with its rounding to float32."""
    numbers: list[float] = torch.linspace(low, high, bins, dtype=torch.float32, device="cpu").tolist()
    return numbers


def _torchvision(bins: int) -> Magnitudes:
    """torchvision's ladders: 10 levels for AutoAugment, 31 bins for RandAugment."""
    entries = _of_torchvision(bins, shear=0.3, shift=150 / 331, factor=0.9, degrees=30.0, fewest_bits=4)
    return Magnitudes("torchvision" if bins == 10 else "torchvision_31", bins - 1, entries)


def _wide() -> Magnitudes:
    """TrivialAugment's wide space in torchvision's 31 bins; translations reach 32 pixels whatever the side."""
    entries = _of_torchvision(31, shear=0.99, shift=1, factor=0.99, degrees=135.0, fewest_bits=2)
    shift = Levels(tuple(pixels / 32 for pixels in _linspace(0.0, 32.0, 31)), 30, signed=True)
    return Magnitudes("wide", 30, {**entries, **_translations(shift, reach=32)})


def _torchvision_augmix() -> Magnitudes:
    """torchvision's AugMix: 10 bins, of which the first `severity` are drawn; bilinear, translations up to a third."""
    entries = _of_torchvision(10, shear=0.3, shift=1 / 3, factor=0.9, degrees=30.0, fewest_bits=0, most_bits=4)
    smooth = {name: ({"interpolation": "bilinear"}, entries[name][1]) for name in ("shear_x", "shear_y", "rotate")}
    return Magnitudes("torchvision_augmix", 9, {**entries, **smooth})


def _of_torchvision(
    bins: int, *, shear: float, shift: float, factor: float, degrees: float, fewest_bits: int, most_bits: int = 8
) -> dict[str, tuple[dict[str, Any], Laws]]:
    top = bins - 1

    def signed(high: float) -> Levels:
        return Levels(tuple(_linspace(0.0, high, bins)), top, signed=True)

    # Added in double precision, as torchvision does, so that both sides of 1 are its own.
    factors = Levels(tuple(1.0 + level for level in _linspace(0.0, factor, bins)), top, signed=True, centre=1.0)
    steps = torch.arange(bins, dtype=torch.float32, device="cpu") / (top / (most_bits - fewest_bits))  # rounded to even, in float32
    return {
        **_free(), **_translations(_line(0, shift, top, signed=True)), **_enhance(factors),
        "shear_x": _plain(slope=signed(shear)),
        "shear_y": _plain(slope=signed(shear)),
        "rotate": _plain(degrees=signed(degrees)),
        "posterize": _plain(bits=Ladder(tuple((most_bits - steps.round()).tolist()))),
        "solarize": _plain(threshold=Levels(tuple(_linspace(255.0, 0.0, bins)), top)),
    }  # fmt: skip


Posterize = Literal["decreasing", "increasing", "original"]


def _timm(posterize: Posterize = "decreasing", name: str = "timm") -> Magnitudes:
    """timm's ladder. Its tables differ in posterize alone: from 0 to 4 bits, from 4 down to 0, or from 4 to 8."""
    bits = {"decreasing": Stepped(0, 4), "increasing": Stepped(4, 0), "original": Stepped(4, 8)}[posterize]
    entries = {
        **_free(), **_shears(), **_translations(_line(0, 0.45, signed=True)), **_enhance(_line(0.1, 1.9)),
        "rotate": _plain(degrees=_line(0, 30, signed=True)),
        "posterize": _plain(bits=bits),
        "solarize": _plain(threshold=Stepped(0, 256)),
        "solarize_add": _plain(amount=Stepped(0, 110, limits=Interval(0, 128))),
    }  # fmt: skip
    return Magnitudes(name, 10, entries, fill=128, most=LARGEST_MAGNITUDE)


def _timm_increasing() -> Magnitudes:
    """timm's inc1: every operation gets stronger with the level, enhancements to both sides of 1 but not below 0.1."""
    factors = _line(1.0, 1.9, signed=True, centre=1.0, least=0.1)
    entries = {
        **_timm("increasing").entries, **_enhance(factors), "solarize": _plain(threshold=Stepped(256, 0)),
    }  # fmt: skip
    return Magnitudes("timm_increasing", 10, entries, fill=128, most=LARGEST_MAGNITUDE)


def _ildoonet() -> Magnitudes:
    """The widely used PyTorch RandAugment: level M of 30; lengths are pixels whatever the side."""
    entries = {
        **_free(), **_shears(top=30), **_translations(_line(0, 1, 30, signed=True), reach=100), **_enhance(_line(0.1, 1.9, 30)),
        "rotate": _plain(degrees=_line(0, 30, 30, signed=True)),
        "posterize": _plain(bits=Ladder(tuple(float(max(1, int(4 * m / 30))) for m in range(31)))),
        "solarize": _plain(threshold=_line(0, 256, 30)),
        "solarize_add": _plain(amount=Stepped(0, 110)),
        "cutout": ({"reach": 40}, {"fraction": _line(0, 1, 30)}),
    }  # fmt: skip
    return Magnitudes("ildoonet", 30, entries)


def _augmix() -> Magnitudes:
    """AugMix's operations: a scale of 10 of which a severity of 3 is used; bilinear, translations up to a third."""
    smooth: dict[str, Any] = {"interpolation": "bilinear"}
    entries: dict[str, tuple[dict[str, Any], Laws]] = {
        **_free(), **_translations(_line(0, 1 / 3, signed=True)), **_enhance(_line(0.1, 1.9)),
        "shear_x": (smooth, {"slope": _line(0, 0.3, signed=True)}),
        "shear_y": (smooth, {"slope": _line(0, 0.3, signed=True)}),
        "rotate": (smooth, {"degrees": Stepped(0, 30, signed=True)}),
        "posterize": _plain(bits=Stepped(4, 0)),
        "solarize": _plain(threshold=Stepped(256, 0)),
    }  # fmt: skip
    return Magnitudes("augmix", 10, entries)


def _adversarial() -> Magnitudes:
    """Adversarial AutoAugment's 10 levels over fractions of the image, by the values of a public re-implementation.

    Posterize and solarize run from weak to strong, so that a larger level is a larger change, as the paper's figure 6
    says; the enhancements are as published, weakest in the middle.
    """
    entries = {
        **_free(), **_shears(top=9), **_translations(_line(0, 0.45, 9, signed=True)), **_enhance(_line(0.1, 1.9, 9)),
        "rotate": _plain(degrees=_line(0, 30, 9, signed=True)),
        "posterize": _plain(bits=_line(8, 4, 9)),
        "solarize": _plain(threshold=_line(256, 0, 9)),
        "cutout": _plain(fraction=_line(0, 0.2, 9)),
        "sample_pairing": _plain(other=_line(0, 0.4, 9)),
    }  # fmt: skip
    return Magnitudes("adversarial", 9, entries, fill=128)


def _fast_autoaugment() -> Magnitudes:
    """Fast AutoAugment's ranges over levels in [0, 1]; geometric ones are symmetric, and their sign is drawn on top."""
    entries = {
        **_free(), **_translations(Linear(-0.45, 0.45, signed=True)), **_enhance(Linear(0.1, 1.9)),
        "shear_x": _plain(slope=Linear(-0.3, 0.3, signed=True)),
        "shear_y": _plain(slope=Linear(-0.3, 0.3, signed=True)),
        "rotate": _plain(degrees=Linear(-30, 30, signed=True)),
        "posterize": _plain(bits=Linear(4, 8)),
        "solarize": _plain(threshold=Linear(0, 256)),
        "cutout": _plain(fraction=Linear(0, 0.2)),
        "sample_pairing": _plain(other=Linear(0, 0.4)),
    }  # fmt: skip
    return Magnitudes("fast_autoaugment", 1, entries)


LADDERS: dict[str, Callable[[], Magnitudes]] = {
    "tf": _tf,
    "tpu": lambda: _tpu(published=False),
    "tpu_published": lambda: _tpu(published=True),
    "torchvision": lambda: _torchvision(10),
    "torchvision_31": lambda: _torchvision(31),
    "wide": _wide,
    "torchvision_augmix": _torchvision_augmix,
    "timm": _timm,
    "timm_increasing": _timm_increasing,
    "timm_original": lambda: _timm("original", "timm_original"),
    "timm_research": lambda: _timm("increasing", "timm_research"),
    "ildoonet": _ildoonet,
    "augmix": _augmix,
    "adversarial": _adversarial,
    "fast_autoaugment": _fast_autoaugment,
}
