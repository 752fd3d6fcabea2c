"""The libraries that can be compared: Augury's back ends, and those other libraries that are installed.

A library maps a case to a function on uint8 images [n,C,H,W], or to None if it has no such operation. Parameters have
Pillow's meaning: degrees counter-clockwise, factors that blend away from the degenerate image, shears about the top left
corner (or about the centre if a library has only that). Everything else keeps the library's own defaults.
"""

import importlib.util
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from augury.augment.apply import apply
from augury.augment.forms.backends import available
from augury.explain.fidelity.cases import Case
from augury.explain.fidelity.pillow import window

Function = Callable[[Tensor], Tensor]
PEERS = ("torchvision", "kornia", "albumentations")


@dataclass(frozen=True)
class Library:
    """`function(case)` applies that case to images [n,C,H,W], one by one or as a batch.

    centred: it shears about the centre, and is compared with Pillow shearing about the centre.
    """

    name: str
    version: str
    own: bool
    function: Callable[[Case], Function | None]
    centred: bool = False


def own() -> list[Library]:
    """Augury with each back end that this machine can run."""
    found = [("plain", "cpu"), *([("numba", "cpu")] if available("numba") else [])]
    if torch.cuda.is_available():
        found += [(name, "cuda") for name in ("plain", "triton") if available(name)]
    return [Library(_own_name(*each), version("augury"), True, _own(*each)) for each in found]


def _own_name(backend: str, device: str) -> str:
    return f"augury {backend}" + ("" if device == "cpu" else f" on {device}")


def peers() -> tuple[list[Library], list[str]]:
    """The other libraries that are installed, and the names of those that are not."""
    made = {"torchvision": _torchvision, "kornia": _kornia, "albumentations": _albumentations}
    here = [name for name in PEERS if importlib.util.find_spec(name) is not None]
    centred = ("albumentations",)
    libraries = [Library(name, version(name), False, made[name](), name in centred) for name in here]
    return libraries, [name for name in PEERS if name not in here]


@contextmanager
def using(backend: str, *, fuse: bool | None = None) -> Iterator[None]:
    """Sets Augury's back end by AUGURY_BACKEND and fusing by AUGURY_FUSE; both are restored afterwards.

    fuse: None leaves AUGURY_FUSE unchanged.
    """
    asked = {"AUGURY_BACKEND": backend} | ({} if fuse is None else {"AUGURY_FUSE": str(int(fuse))})
    before = {name: os.environ.get(name) for name in asked}
    os.environ.update(asked)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _own(backend: str, device: str) -> Callable[[Case], Function]:
    def function(case: Case) -> Function:
        given: dict[str, Any] = {**dict(case.values), **dict(case.options)}

        def run(images: Tensor) -> Tensor:
            with using(backend):
                return apply(case.operation, images.to(device), **given).cpu()

        return run

    return function


def _each(one: Callable[[Tensor], Tensor]) -> Function:
    return lambda images: torch.stack([one(image) for image in images])


def _torchvision() -> Callable[[Case], Function | None]:
    """torchvision.transforms.v2.functional on uint8 tensors."""
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.v2 import functional as F

    def affine(case: Case, **given: object) -> Function:
        neutral: dict[str, Any] = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]}
        how = InterpolationMode(case.interpolation)
        return lambda x: F.affine(x, **{**neutral, **given}, interpolation=how, fill=0)

    def resized(case: Case) -> Function:
        def run(x: Tensor) -> Tensor:
            height, width = x.shape[-2:]
            left, top, right, bottom = window(case, height, width)
            how = InterpolationMode(case.interpolation)
            return F.resized_crop(x, top, left, bottom - top, right - left, [height, width], how, antialias=True)

        return run

    def function(case: Case) -> Function | None:
        value = case.value if case.values else 0.0
        slope = math.degrees(math.atan(value))
        made: dict[str, Callable[[], Function]] = {
            "shear_x": lambda: affine(case, shear=[slope, 0.0], center=[0, 0]),
            "shear_y": lambda: affine(case, shear=[0.0, slope], center=[0, 0]),
            "translate_x": lambda: _each(lambda x: affine(case, translate=[-int(value * x.shape[-1]), 0])(x)),
            "translate_y": lambda: _each(lambda x: affine(case, translate=[0, -int(value * x.shape[-2])])(x)),
            "rotate": lambda: lambda x: F.rotate(x, value, InterpolationMode(case.interpolation), fill=0),
            "zoom": lambda: affine(case, scale=value),
            "flip": lambda: F.horizontal_flip,
            "flip_vertical": lambda: F.vertical_flip,
            "resized_crop": lambda: resized(case),
            "auto_contrast": lambda: F.autocontrast,
            "equalize": lambda: F.equalize,
            "invert": lambda: F.invert,
            "grayscale": lambda: lambda x: F.rgb_to_grayscale(x, num_output_channels=x.shape[-3]),
            "posterize": lambda: lambda x: F.posterize(x, int(value)),
            "solarize": lambda: lambda x: F.solarize(x, value),
            "brightness": lambda: lambda x: F.adjust_brightness(x, value),
            "contrast": lambda: lambda x: F.adjust_contrast(x, value),
            "color": lambda: lambda x: F.adjust_saturation(x, value),
            "sharpness": lambda: lambda x: F.adjust_sharpness(x, value),
            "hue": lambda: lambda x: F.adjust_hue(x, value),
        }
        return made[case.operation]() if case.operation in made else None

    return function


def _kornia() -> Callable[[Case], Function | None]:
    """kornia's functions, on floats in [0, 1] that are rounded back to 8 bits."""
    import kornia.augmentation as augmentation
    import kornia.enhance as enhance
    import kornia.geometry.transform as geometry

    def floats(run: Function) -> Function:
        return lambda x: (run(x.to(torch.float32) / 255) * 255).round().clamp(0, 255).to(torch.uint8)

    def row(x: Tensor, *numbers: float) -> Tensor:
        return torch.tensor(numbers).expand(len(x), len(numbers))

    def function(case: Case) -> Function | None:
        value, how = case.value if case.values else 0.0, case.interpolation
        made: dict[str, Function] = {
            "shear_x": lambda x: geometry.shear(x, row(x, -value, 0.0), how),
            "shear_y": lambda x: geometry.shear(x, row(x, 0.0, -value), how),
            "translate_x": lambda x: geometry.translate(x, row(x, -int(value * x.shape[-1]), 0.0), how),
            "translate_y": lambda x: geometry.translate(x, row(x, 0.0, -int(value * x.shape[-2])), how),
            "rotate": lambda x: geometry.rotate(x, row(x, value)[:, 0], mode=how),
            "zoom": lambda x: geometry.scale(x, row(x, value, value), mode=how),
            "flip": geometry.hflip,
            "flip_vertical": geometry.vflip,
            "auto_contrast": lambda x: augmentation.RandomAutoContrast(p=1.0)(x),
            "equalize": enhance.equalize,
            "invert": enhance.invert,
            "posterize": lambda x: enhance.posterize(x, int(value)),
            "solarize": lambda x: enhance.solarize(x, value / 255),
            "brightness": lambda x: enhance.adjust_brightness_accumulative(x, value),
            "contrast": lambda x: enhance.adjust_contrast_with_mean_subtraction(x, value),
            "color": lambda x: enhance.adjust_saturation_with_gray_subtraction(x, value),
            "sharpness": lambda x: enhance.sharpness(x, value),
            "hue": lambda x: enhance.adjust_hue(x, 2 * math.pi * value),
        }
        return floats(made[case.operation]) if case.operation in made else None

    return function


def _albumentations() -> Callable[[Case], Function | None]:
    """albumentations' transforms with p=1 and ranges of one value, on uint8 arrays."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else the import looks for newer versions online
    import albumentations as A

    def jitter(**given: float) -> Any:
        neutral = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0, **given}
        return A.ColorJitter(**{name: (v, v) for name, v in neutral.items()}, p=1.0)

    def transform(case: Case, height: int, width: int) -> Any:
        value, how = case.value if case.values else 0.0, {"nearest": 0, "bilinear": 1}.get(case.interpolation, 2)
        slope = math.degrees(math.atan(value))
        made: dict[str, Callable[[], Any]] = {
            "shear_x": lambda: A.Affine(shear={"x": (slope, slope), "y": (0, 0)}, interpolation=how, p=1),
            "shear_y": lambda: A.Affine(shear={"x": (0, 0), "y": (slope, slope)}, interpolation=how, p=1),
            "translate_x": lambda: A.Affine(translate_px=_both(x=-int(value * width)), interpolation=how, p=1),
            "translate_y": lambda: A.Affine(translate_px=_both(y=-int(value * height)), interpolation=how, p=1),
            "rotate": lambda: A.Rotate((value, value), how, p=1),
            "zoom": lambda: A.Affine(scale=(value, value), interpolation=how, p=1),
            "flip": lambda: A.HorizontalFlip(p=1),
            "flip_vertical": lambda: A.VerticalFlip(p=1),
            "auto_contrast": lambda: A.AutoContrast(method="pil", p=1),
            "equalize": lambda: A.Equalize(mode="pil", p=1),
            "invert": lambda: A.InvertImg(p=1),
            "grayscale": lambda: A.ToGray(p=1),
            "posterize": lambda: A.Posterize((int(value), int(value)), p=1),
            "solarize": lambda: A.Solarize((value / 255, value / 255), p=1),
            "brightness": lambda: jitter(brightness=value),
            "contrast": lambda: jitter(contrast=value),
            "color": lambda: jitter(saturation=value),
            "hue": lambda: jitter(hue=value),
        }
        return made[case.operation]() if case.operation in made else None

    def function(case: Case) -> Function | None:
        if transform(Case(case.operation, case.values and ((case.values[0][0], 0.5),)), 8, 8) is None:
            return None

        def one(x: Tensor) -> Tensor:
            found = transform(case, *x.shape[-2:])(image=x.permute(1, 2, 0).contiguous().numpy())["image"]
            return torch.from_numpy(found.reshape(*found.shape[:2], -1)).permute(2, 0, 1)

        return _each(one)

    return function


def _both(x: float = 0, y: float = 0) -> dict[str, tuple[float, float]]:
    return {"x": (x, x), "y": (y, y)}
