"""The same chains by other libraries, put together as their documentation does; conversions that users pay for are paid for."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from augury.explain.fidelity.pillow import as_pil
from augury.explain.throughput.chains import MEAN, STD, Work
from augury.explain.throughput.peers import Peer, albumentations_space, installed
from augury.explain.throughput.timing import Task
from augury.explain.throughput.workloads import CLASSES, labels_for


def chain_peers(work: Work, images: Tensor, most: int) -> Iterator[Peer]:
    """The installed peers for a chain, on at most `most` of the images (their cost is per image)."""
    if work.how == "saliency" or images.device.type != "cpu":
        return
    few = images[:most] if work.how != "image" else images[:1]
    versions, _ = installed()
    yield from _torchvision(work, few)
    if "timm" in versions:
        yield from _timm(work, few)
    if "albumentations" in versions:
        yield from _albumentations(work, few)
    if "kornia" in versions and work.how != "image":
        yield from _kornia(work, few)


def _collated(transform: Callable[[Any], Tensor], items: list[Any], mix: Callable[[Tensor], object] | None) -> Task:
    """A batch: every item transformed, all of them stacked, and mixed where the chain mixes."""

    def call() -> object:
        batch = torch.stack([transform(item) for item in items])
        return batch if mix is None else mix(batch)

    return Task(call, len(items))


def _torchvision(work: Work, images: Tensor) -> Iterator[Peer]:
    from torchvision.transforms import v2

    first = v2.RandomResizedCrop(224, antialias=True) if "resized_crop" in work.text else v2.RandomCrop(32, padding=4)
    steps = [first, v2.RandomHorizontalFlip(), v2.RandAugment(2, 9)]
    ends = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    ends.append(v2.RandomErasing(p=0.5, scale=(0.02, 0.4), ratio=(0.3, 3.3333), value="random"))
    mix, equal = _torchvision_mix(work, len(images))
    pil = [as_pil(image) for image in images]
    yield Peer("torchvision", "PIL", equal, _collated(v2.Compose([*steps, v2.ToImage(), *ends]), pil, mix))
    if work.how != "image":
        yield Peer("torchvision", "tensor", equal, _collated(v2.Compose([*steps, *ends]), list(images), mix))


def _torchvision_mix(work: Work, count: int) -> tuple[Callable[[Tensor], object] | None, bool]:
    """Its mix, and whether it is the same work: one weight or box for the batch is what it offers, which costs less."""
    from torchvision.transforms import v2

    labels = labels_for(count)
    if "mixup" in work.text:
        mixup = v2.MixUp(alpha=0.2, num_classes=CLASSES)
        return lambda batch: mixup(batch, labels), True
    if "cutmix" in work.text:
        cutmix = v2.CutMix(alpha=1.0, num_classes=CLASSES)
        return lambda batch: cutmix(batch, labels), True
    return None, True


def _timm(work: Work, images: Tensor) -> Iterator[Peer]:
    from timm.data import create_transform
    from timm.data.auto_augment import rand_augment_transform
    from timm.data.mixup import Mixup
    from torchvision import transforms

    if "resized_crop" in work.text:
        transform = create_transform(
            224, is_training=True, auto_augment="rand-m9-n2", interpolation="bilinear", mean=MEAN, std=STD,
            re_prob=0.5, re_mode="pixel", color_jitter=0.0,
        )  # fmt: skip
        chosen = next(step for step in transform.transforms if hasattr(step, "ops"))
    else:
        chosen = rand_augment_transform("rand-m9-n2", {"translate_const": 10})
        from timm.data.random_erasing import RandomErasing

        steps = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip(), chosen, transforms.ToTensor()]
        erase = RandomErasing(0.5, 0.02, 0.4, 0.3, 3.3333, mode="pixel", device="cpu")
        transform = transforms.Compose([*steps, transforms.Normalize(MEAN, STD), erase])
    for operation in chosen.ops:
        operation.prob = 1.0  # timm lets each operation fire with probability one half
    mix = None
    if "mixup" in work.text or "cutmix" in work.text:
        alphas = (0.2, 0.0) if "mixup" in work.text else (0.0, 1.0)
        mixup, labels = Mixup(*alphas, mode="elem", label_smoothing=0.0, num_classes=CLASSES), labels_for(len(images))
        mix = lambda batch: mixup(batch, labels)  # noqa: E731
        if len(images) % 2:
            return  # it mixes pairs
    yield Peer("timm", "PIL, every operation on", True, _collated(transform, [as_pil(image) for image in images], mix))


def _albumentations(work: Work, images: Tensor) -> Iterator[Peer]:
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else its import asks the network for newer versions
    import albumentations as A
    import cv2
    from albumentations.pytorch import ToTensorV2

    if "mixup" in work.text or "cutmix" in work.text:
        return
    cv2.setNumThreads(1)
    side = images.shape[-1]
    first = [A.RandomResizedCrop((224, 224))] if side == 224 else [A.Pad(4, fill=0), A.RandomCrop(32, 32)]
    policy = A.SomeOf(albumentations_space(A, side, 9 / 30, 9 / 30), n=2, replace=True, p=1)
    ends = [A.Normalize(MEAN, STD), A.Erasing((0.02, 0.4), (0.3, 3.3333), fill="random", p=0.5), ToTensorV2()]
    compose = A.Compose([*first, A.HorizontalFlip(), policy, *ends])
    arrays = [image.permute(1, 2, 0).contiguous().numpy() for image in images]
    yield Peer("albumentations", "arrays", True, _collated(lambda x: compose(image=x)["image"], arrays, None))


def _kornia(work: Work, images: Tensor) -> Iterator[Peer]:
    import kornia.augmentation as K
    from kornia.augmentation import auto

    if "mixup" in work.text or "cutmix" in work.text:
        return
    side = images.shape[-1]
    first = K.RandomResizedCrop((224, 224)) if side == 224 else K.RandomCrop((32, 32), padding=4)
    mean, std = torch.tensor(MEAN), torch.tensor(STD)
    steps = [first, K.RandomHorizontalFlip(), auto.RandAugment(n=2, m=9), K.Normalize(mean, std), K.RandomErasing(p=0.5)]
    some = images[: max(1, len(images) // 4)]

    def transform(image: Tensor) -> Tensor:
        with torch.no_grad():
            batch = image[None].to(torch.float32) / 255
            for step in steps:
                batch = step(batch)
            return batch[0]

    # Its erasing knows one constant, which is less work than noise per pixel.
    yield Peer("kornia", "tensor, erased by a constant", False, _collated(transform, list(some), None))
