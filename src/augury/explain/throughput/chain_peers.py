"""The same chains in other libraries: one image at a time, then stacked into a batch and mixed by timm."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from augury.explain.fidelity.pillow import as_pil
from augury.explain.throughput.albumentations_ops import albumentations_space
from augury.explain.throughput.chains import CLASSES, MEAN, STD
from augury.explain.throughput.timing import Task

Found = tuple[str, str, Task]  # library, how it is used, the task
_ERASED = {"scale": (0.02, 0.4), "ratio": (0.3, 3.3333)}


def chain_peers(job: str, images: Tensor, labels: Tensor, here: set[str]) -> Iterator[Found]:
    """The libraries that can do the job with equal work. images: uint8 [B,C,H,W]; here: names of the installed libraries."""
    if job == "chain_keep_cutout":
        return
    after = _after(job, labels, here)
    pictures = [as_pil(image) for image in images]
    if after is None:
        return
    side = images.shape[-1]
    yield "torchvision", "PIL", _task(_torchvision(side, tensors=False), pictures, after)
    yield "torchvision", "tensor", _task(_torchvision(side, tensors=True), list(images), after)
    if "timm" in here:
        yield "timm", "PIL, every operation on", _task(_timm(side), pictures, after)
    if "albumentations" in here:
        arrays = [image.permute(1, 2, 0).contiguous().numpy() for image in images]
        yield "albumentations", "arrays", _task(_albumentations(side), arrays, after)
    if "kornia" in here:
        few = [image[None] for image in images[: max(2, len(images) // 4)]]
        yield "kornia", "tensor", _task(_kornia(side), few, after)


def _task(transform: Callable[[Any], Any], items: list[Any], after: Callable[[list[Tensor]], object]) -> Task:
    return Task(lambda: after([transform(item) for item in items]), len(items))


def _after(job: str, labels: Tensor, here: set[str]) -> Callable[[list[Tensor]], object] | None:
    """What is done with a batch's images after the transforms; None if no installed library does it image by image."""
    if job == "chain_one_image":
        return lambda made: made
    if job not in ("chain_mixup", "chain_cutmix"):
        return torch.stack
    if "timm" not in here:
        return None
    from timm.data.mixup import Mixup

    alphas = {"mixup_alpha": 0.8} if job == "chain_mixup" else {"mixup_alpha": 0.0, "cutmix_alpha": 1.0}
    mix = Mixup(**alphas, mode="elem", label_smoothing=0.0, num_classes=CLASSES)
    # It mixes in place with the reversed batch and requires an even batch size.
    return lambda made: _mixed(mix, torch.stack(made[: len(made) // 2 * 2]), labels)


def _mixed(mix: Any, images: Tensor, labels: Tensor) -> object:
    return mix(images, labels[: len(images)])


def _crop(side: int) -> Any:
    from torchvision.transforms import v2

    return v2.RandomCrop(side, padding=4) if side < 100 else v2.RandomResizedCrop(side)


def _torchvision(side: int, *, tensors: bool) -> Callable[[Any], Any]:
    from torchvision.transforms import v2

    floats = [*([] if tensors else [v2.PILToTensor()]), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    erasing = v2.RandomErasing(p=0.25, value="random", **_ERASED)
    return v2.Compose([_crop(side), v2.RandomHorizontalFlip(), v2.RandAugment(2, 9), *floats, erasing])


def _timm(side: int) -> Callable[[Any], Any]:
    """`create_transform` from 100 pixels on; below that, where it would resize, its parts after a padded crop."""
    from timm.data import create_transform
    from timm.data.auto_augment import RandAugment, rand_augment_transform
    from timm.data.random_erasing import RandomErasing
    from timm.data.transforms import MaybeToTensor
    from torchvision.transforms import v2

    if side >= 100:
        transform = create_transform(
            side,
            is_training=True,
            auto_augment="rand-m9-n2",
            re_prob=0.25,
            re_mode="pixel",
            interpolation="bilinear",
            mean=tuple(MEAN),
            std=tuple(STD),
        )
    else:
        erasing = RandomErasing(0.25, max_area=0.4, mode="pixel", device="cpu")
        policy = rand_augment_transform("rand-m9-n2", {})
        floats = [MaybeToTensor(), v2.Normalize(MEAN, STD)]
        transform = v2.Compose([_crop(side), v2.RandomHorizontalFlip(), policy, *floats, erasing])
    for step in transform.transforms:
        if isinstance(step, RandAugment):
            for operation in step.ops:
                operation.prob = 1.0  # by default each is applied with probability one half
    return transform


def _albumentations(side: int) -> Callable[[Any], Any]:
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else the import looks for newer versions online
    import albumentations as A
    import cv2
    from albumentations.pytorch import ToTensorV2

    cv2.setNumThreads(1)
    crop = A.RandomCrop(side, side, pad_if_needed=True) if side < 100 else A.RandomResizedCrop((side, side))
    padded = [A.Pad(4)] if side < 100 else []
    policy = A.SomeOf(albumentations_space(A, side, 9 / 30, 9 / 30), n=2, replace=True, p=1)
    erasing = A.Erasing(_ERASED["scale"], _ERASED["ratio"], fill="random", p=0.25)
    # Erases before normalising, since it cannot fill floats with noise.
    transform = A.Compose([*padded, crop, A.HorizontalFlip(p=0.5), policy, erasing, A.Normalize(MEAN, STD), ToTensorV2()])
    return lambda array: transform(image=array)["image"]


def _kornia(side: int) -> Callable[[Any], Any]:
    import kornia.augmentation as K
    from kornia.augmentation import auto

    crop = K.RandomCrop((side, side), padding=4) if side < 100 else K.RandomResizedCrop((side, side))
    erasing = K.RandomErasing(scale=_ERASED["scale"], ratio=_ERASED["ratio"], p=0.25)
    steps = [
        crop,
        K.RandomHorizontalFlip(),
        auto.RandAugment(n=2, m=9),
        K.Normalize(torch.tensor(MEAN), torch.tensor(STD)),
        erasing,
    ]

    def transform(image: Tensor) -> Tensor:
        with torch.no_grad():
            values = image.to(torch.float32) / 255
            for step in steps:
                values = step(values)
            return values[0]

    return transform
