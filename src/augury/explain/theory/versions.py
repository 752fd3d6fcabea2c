"""The same images under every transformation of a family, as the papers enumerate them."""

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
"""Operation and settings: rotation by -15 to 15 degrees, blur of 0.05 to 1 pixels, brightness and contrast by a quarter and by
35 % as in Dao et al. 2019, section 6 (their resized crop, which draws its place, is an enlargement here)."""


def transformed(images: Tensor, family: str) -> list[Tensor]:
    """uint8 [N,1,H,W] for the originals, then for each setting of the family."""
    name, settings = FAMILIES[family]
    return [images, *(apply(name, images, **dict[str, Any](values)) for values in settings)]


def versions(images: Tensor, family: str, side: int, features: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """float64 [N,T,D]: pixels (or features of pixels), transformation 0 is the original."""
    found = [pixels(each, side) for each in transformed(images, family)]
    return torch.stack([each if features is None else features(each) for each in found], 1)


def information(inputs: Tensor, labels: Tensor, levels: int = 4) -> Tensor:
    """float64 [D], in nats: what each feature in [0, 1], cut to `levels` equal steps, tells about the label."""
    steps = (inputs * levels).long().clamp(max=levels - 1)
    joint = torch.zeros(inputs.shape[1], levels, int(labels.max()) + 1, dtype=torch.float64)
    features = torch.arange(inputs.shape[1]).expand_as(steps)
    joint.index_put_((features, steps, labels[:, None].expand_as(steps)), torch.ones(1, dtype=torch.float64), accumulate=True)
    joint = joint / len(labels)

    def entropy(p: Tensor) -> Tensor:
        return torch.special.entr(p).flatten(1).sum(1)

    return entropy(joint.sum(2)) + entropy(joint.sum(1)) - entropy(joint)
