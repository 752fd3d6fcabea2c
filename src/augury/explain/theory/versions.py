"""The same images under every transformation of a family, enumerated as in the papers."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from augury.augment.apply import apply
from augury.explain.theory.claim import pixels


def _rotations() -> list[dict[str, float]]:
    return [{"degrees": float(d)} for d in range(-15, 16, 2)]


FAMILIES: dict[str, tuple[str, list[dict[str, float]]]] = {
    "rotation": ("rotate", _rotations()),
    "enlargement": ("zoom", [{"factor": 1 + 0.25 * k / 8} for k in range(1, 9)]),
    "blur": ("gaussian_blur", [{"sigma": 0.05 + 0.95 * k / 7} for k in range(8)]),
    "mirroring": ("flip", [{}]),
    "brightness": ("brightness", [{"factor": 0.75 + 0.05 * k} for k in range(11) if k != 5]),
    "contrast": ("contrast", [{"factor": 0.65 + 0.07 * k} for k in range(11) if k != 5]),
}
"""Operation and settings: rotation by -15 to 15 degrees, blur of 0.05 to 1 pixels, brightness by 25 % and contrast by 35 %, as
in Dao et al. 2019, section 6 (their resized crop, whose position is random, is an enlargement here)."""


def _even(name: str, key: str, low: float, high: float) -> tuple[str, list[dict[str, float]]]:
    """Six settings of an operation from low to high."""
    return name, [{key: low + (high - low) * k / 5} for k in range(6)]


STRENGTHS: dict[str, tuple[str, list[dict[str, float]]]] = {
    **{f"rotation to {d}": _even("rotate", "degrees", -d, d) for d in (5, 15, 30, 60, 120)},
    **{f"enlargement to {f:g}": _even("zoom", "factor", 1, f) for f in (1.1, 1.25, 1.5, 2.0)},
    **{f"blur to {s:g}": _even("gaussian_blur", "sigma", 0.05, s) for s in (1.0, 2.0)},
    **{f"shift to {f:g}": _even("translate_x", "fraction", -f, f) for f in (0.06, 0.12, 0.25)},
    **{f"shear to {s:g}": _even("shear_x", "slope", -s, s) for s in (0.15, 0.4)},
    **{f"brightness by {b:g}": _even("brightness", "factor", 1 - b, 1 + b) for b in (0.25, 0.5)},
    **{f"contrast by {c:g}": _even("contrast", "factor", 1 - c, 1 + c) for c in (0.35, 0.7)},
    "mirroring": ("flip", [{}]),
    "turning upside down": ("flip_vertical", [{}]),
}
"""Augmentations of different kinds and strengths, each with up to six settings: enough points for a rank correlation."""


def transformed(images: Tensor, family: str) -> list[Tensor]:
    """uint8 [N,1,H,W]: the originals, then one tensor per setting of a family of `FAMILIES` or `STRENGTHS`."""
    name, settings = FAMILIES[family] if family in FAMILIES else STRENGTHS[family]
    return [images, *(apply(name, images, **dict[str, Any](values)) for values in settings)]


def versions(images: Tensor, family: str, side: int, features: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """float64 [N,T,D]: pixels (or features of pixels); transformation 0 is the original."""
    found = [pixels(each, side) for each in transformed(images, family)]
    return torch.stack([each if features is None else features(each) for each in found], 1)


def information(inputs: Tensor, labels: Tensor, levels: int = 4) -> Tensor:
    """float64 [D], in nats: mutual information of the label and each feature in [0, 1], quantised to `levels` equal steps."""
    steps = (inputs * levels).long().clamp(max=levels - 1)
    joint = torch.zeros(inputs.shape[1], levels, int(labels.max()) + 1, dtype=torch.float64)
    features = torch.arange(inputs.shape[1]).expand_as(steps)
    joint.index_put_((features, steps, labels[:, None].expand_as(steps)), torch.ones(1, dtype=torch.float64), accumulate=True)
    joint = joint / len(labels)

    def entropy(p: Tensor) -> Tensor:
        return torch.special.entr(p).flatten(1).sum(1)

    return entropy(joint.sum(2)) + entropy(joint.sum(1)) - entropy(joint)
