"""Published magnitude ladders: what a strength in [0, 1] means for each operation.

The conventions disagree: level 5 of `color` is the identity in one and a strong change in another. A ladder maps the
name of an operation to its fixed options and to the laws of its parameters; `top` is the level that strength 1 stands
for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from augury.augment.ops.build import op
from augury.core.errors import InputError
from augury.core.laws import Ladder, Law, Linear, Stepped
from augury.core.plan import Choice
from augury.core.registry import unknown

Laws = Mapping[str, Law]
FREE = ("identity", "auto_contrast", "equalize", "invert")
GEOMETRIC = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
ENHANCE = ("brightness", "color", "contrast", "sharpness")


@dataclass(frozen=True)
class Magnitudes:
    """A ladder. top: the level at strength 1. entries: operation name to its options and laws. fill: what lies outside."""

    name: str
    top: float
    entries: Mapping[str, tuple[dict[str, Any], Laws]]
    fill: int = 0

    def choice(self, name: str, fill: int | None = None) -> Choice:
        """The operation as an entry of a space. Raises InputError where the ladder has no values for it."""
        if name not in self.entries:
            raise InputError(f"ladder {self.name}: no values for {name!r}; it has {', '.join(sorted(self.entries))}")
        options, laws = self.entries[name]
        paint: dict[str, Any] = {"fill": self.fill if fill is None else fill} if name in (*GEOMETRIC, "cutout") else {}
        made = {**paint, **options}
        return Choice(op(name, **made), laws, made)


def ladder(name: str) -> Magnitudes:
    """A ladder by name. Raises InputError naming the nearest."""
    if name not in LADDERS:
        raise InputError(f"ladder: {unknown('ladder', name, list(LADDERS))}")
    return LADDERS[name]()


def _plain(**laws: Law) -> tuple[dict[str, Any], Laws]:
    return {}, laws


def _free() -> dict[str, tuple[dict[str, Any], Laws]]:
    return {name: _plain() for name in FREE}


def _shears(high: float = 0.3) -> dict[str, tuple[dict[str, Any], Laws]]:
    return {name: _plain(slope=Linear(0, high, signed=True)) for name in ("shear_x", "shear_y")}


def _translations(law: Law, **options: Any) -> dict[str, tuple[dict[str, Any], Laws]]:
    return {name: (options, {"fraction": law}) for name in ("translate_x", "translate_y")}


def _enhance(law: Law) -> dict[str, tuple[dict[str, Any], Laws]]:
    return {name: _plain(factor=law) for name in ENHANCE}


def _tf() -> Magnitudes:
    """AutoAugment's CIFAR code. Pixels are those of 32 and scale with the side; enhancement at level 5 is the identity."""
    entries = {
        **_free(), **_shears(), **_translations(Stepped(0, 10, 1 / 32, signed=True)), **_enhance(Linear(0.1, 1.9)),
        "rotate": _plain(degrees=Stepped(0, 30, signed=True)),
        "posterize": _plain(bits=Stepped(4, 0)),
        "solarize": _plain(threshold=Stepped(256, 0)),
        "cutout": _plain(fraction=Stepped(0, 20, 1 / 32)),
        "sample_pairing": _plain(other=Linear(0, 0.4)),
    }  # fmt: skip
    return Magnitudes("tf", 10, entries, fill=128)


def _tpu(published: bool) -> Magnitudes:
    """AutoAugment's ImageNet code; pixels are those of 224 and scale with the side.

    As published, posterize and solarize get weaker as the level grows, posterize is black below level 3, and contrast
    blends with a grey that depends on the number of pixels. Repaired: 8 to 4 bits (the paper's range), thresholds from
    256 down to 0, Pillow's contrast.
    """
    name = "tpu_published" if published else "tpu"
    contrast = {"mean": "pixel_count"} if published else {}
    entries = {
        **_free(), **_shears(), **_translations(Linear(0, 250 / 224, signed=True)), **_enhance(Linear(0.1, 1.9)),
        "contrast": (contrast, {"factor": Linear(0.1, 1.9)}),
        "rotate": _plain(degrees=Linear(0, 30, signed=True)),
        "posterize": _plain(bits=Stepped(0, 4) if published else Stepped(8, 4)),
        "solarize": _plain(threshold=Stepped(0, 256) if published else Stepped(256, 0)),
        "solarize_add": _plain(amount=Stepped(0, 110)),
        "cutout": _plain(fraction=Stepped(0, 100, 2 / 224)),
    }  # fmt: skip
    return Magnitudes(name, 10, entries, fill=128)


def _torchvision(bins: int) -> Magnitudes:
    """torchvision's ladders: 10 levels for AutoAugment, 31 bins for RandAugment."""
    entries = {
        **_free(), **_shears(), **_translations(Linear(0, 150 / 331, signed=True)),
        **_enhance(Linear(1.0, 1.9, signed=True, centre=1.0)),
        "rotate": _plain(degrees=Linear(0, 30, signed=True)),
        "posterize": _plain(bits=_bits(bins, 4)),
        "solarize": _plain(threshold=Linear(255, 0)),
    }  # fmt: skip
    return Magnitudes("torchvision" if bins == 10 else "torchvision_31", bins - 1, entries)


def _wide() -> Magnitudes:
    """TrivialAugment's wide space in torchvision's 31 bins; translations reach 32 pixels whatever the side."""
    entries = {
        **_free(), **_shears(0.99), **_translations(Linear(0, 1, signed=True), reach=32),
        **_enhance(Linear(1.0, 1.99, signed=True, centre=1.0)),
        "rotate": _plain(degrees=Linear(0, 135, signed=True)),
        "posterize": _plain(bits=_bits(31, 6)),
        "solarize": _plain(threshold=Linear(255, 0)),
    }  # fmt: skip
    return Magnitudes("wide", 30, entries)


def _timm(increasing: bool) -> Magnitudes:
    """timm's RandAugment; `increasing` is its inc1, where every operation gets stronger with the level."""
    enhance: Law = Linear(1.0, 1.9, signed=True, centre=1.0) if increasing else Linear(0.1, 1.9)
    entries = {
        **_free(), **_shears(), **_translations(Linear(0, 0.45, signed=True)), **_enhance(enhance),
        "rotate": _plain(degrees=Linear(0, 30, signed=True)),
        "posterize": _plain(bits=Stepped(4, 0) if increasing else Stepped(0, 4)),
        "solarize": _plain(threshold=Stepped(256, 0) if increasing else Stepped(0, 256)),
        "solarize_add": _plain(amount=Stepped(0, 110)),
    }  # fmt: skip
    return Magnitudes("timm_increasing" if increasing else "timm", 10, entries, fill=128)


def _ildoonet() -> Magnitudes:
    """The widely used PyTorch RandAugment: level M of 30; lengths are pixels whatever the side."""
    entries = {
        **_free(), **_shears(), **_translations(Linear(0, 1, signed=True), reach=100), **_enhance(Linear(0.1, 1.9)),
        "rotate": _plain(degrees=Linear(0, 30, signed=True)),
        "posterize": _plain(bits=Ladder(tuple(float(max(1, int(4 * m / 30))) for m in range(31)))),
        "solarize": _plain(threshold=Linear(0, 256)),
        "solarize_add": _plain(amount=Stepped(0, 110)),
        "cutout": ({"reach": 40}, {"fraction": Linear(0, 1)}),
    }  # fmt: skip
    return Magnitudes("ildoonet", 30, entries)


def _augmix() -> Magnitudes:
    """AugMix's operations: a scale of 10 of which a severity of 3 is used; bilinear, translations up to a third."""
    smooth: dict[str, Any] = {"interpolation": "bilinear"}
    entries: dict[str, tuple[dict[str, Any], Laws]] = {
        **_free(), **_translations(Linear(0, 1 / 3, signed=True)), **_enhance(Linear(0.1, 1.9)),
        "shear_x": (smooth, {"slope": Linear(0, 0.3, signed=True)}),
        "shear_y": (smooth, {"slope": Linear(0, 0.3, signed=True)}),
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
        **_free(), **_shears(), **_translations(Linear(0, 0.45, signed=True)), **_enhance(Linear(0.1, 1.9)),
        "rotate": _plain(degrees=Linear(0, 30, signed=True)),
        "posterize": _plain(bits=Linear(8, 4)),
        "solarize": _plain(threshold=Linear(256, 0)),
        "cutout": _plain(fraction=Linear(0, 0.2)),
        "sample_pairing": _plain(other=Linear(0, 0.4)),
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


def _bits(bins: int, span: int) -> Ladder:
    """torchvision rounds to even: 8 - level / ((bins - 1) / span), in float32 like it."""
    import torch

    numbers = (8 - (torch.arange(bins) / ((bins - 1) / span))).round()
    return Ladder(tuple(numbers.tolist()))


LADDERS: dict[str, Callable[[], Magnitudes]] = {
    "tf": _tf,
    "tpu": lambda: _tpu(published=False),
    "tpu_published": lambda: _tpu(published=True),
    "torchvision": lambda: _torchvision(10),
    "torchvision_31": lambda: _torchvision(31),
    "wide": _wide,
    "timm": lambda: _timm(increasing=False),
    "timm_increasing": lambda: _timm(increasing=True),
    "ildoonet": _ildoonet,
    "augmix": _augmix,
    "adversarial": _adversarial,
    "fast_autoaugment": _fast_autoaugment,
}
