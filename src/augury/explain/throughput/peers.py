"""The same augmentations in other libraries, one image at a time if a library draws once for a whole batch.

Each library is given images in its preferred format (PIL, tensor, array); the conversion is not timed.
"""

import importlib.util
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from augury.explain.fidelity.pillow import as_pil
from augury.explain.throughput.albumentations_ops import albumentations_op, albumentations_space
from augury.explain.throughput.chain_peers import chain_peers
from augury.explain.throughput.chains import CHAINS, CLASSES
from augury.explain.throughput.timing import Task
from augury.explain.throughput.workloads import IN_PLACE, labels_for, to_write_over

PEERS = ("torchvision", "timm", "albumentations", "kornia")


@dataclass(frozen=True)
class Peer:
    """equal_work: whether each image gets its own draw of the same kind; other peers are listed without a ratio."""

    library: str
    how: str
    equal_work: bool
    task: Task


def installed() -> tuple[dict[str, str], list[str]]:
    """Versions of the installed peers, and the names of the others."""
    here = [name for name in PEERS if importlib.util.find_spec(name) is not None]
    return {name: version(name) for name in here}, [name for name in PEERS if name not in here]


def peers_of(job: str, images: Tensor, most: int) -> Iterator[Peer]:
    """The installed peers that offer a job, on at most `most` of the images (their cost is per image)."""
    few = images[:most].cpu()
    versions, _ = installed()
    if job in CHAINS:
        if images.device.type == "cpu":
            yield from (Peer(*found[:2], True, found[2]) for found in chain_peers(job, few, labels_for(len(few)), set(versions)))
        return
    if images.device.type == "cuda":
        yield from _on_cuda(job, images)
        return
    yield from _torchvision(job, few)
    if "timm" in versions:
        yield from _timm(job, few)
    if "albumentations" in versions:
        yield from _albumentations(job, few)
    if "kornia" in versions:
        yield from _kornia(job, few)


def _each(transform: Callable[[Any], object], items: list[Any]) -> Task:
    return Task(lambda: [transform(item) for item in items], len(items))


def _torchvision_transform(job: str) -> Any:
    from torchvision.transforms import v2

    made: dict[str, Callable[[], Any]] = {
        "randaugment": lambda: v2.RandAugment(2, 9),
        "autoaugment": lambda: v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10),
        "trivialaugment": lambda: v2.TrivialAugmentWide(),
        "cutout": lambda: v2.RandomErasing(p=1, scale=(0.25, 0.25), ratio=(1, 1), value=0),
        "random_erasing": lambda: v2.RandomErasing(p=1, scale=(0.02, 0.4), ratio=(0.3, 3.3333), value="random"),
    }
    return made[job]() if job in made else None


def _torchvision(job: str, images: Tensor) -> Iterator[Peer]:
    transform = _torchvision_transform(job)
    if job == "cutmix":
        yield _batch_cutmix(images)
    if transform is None:
        return
    if job in ("randaugment", "autoaugment", "trivialaugment"):
        yield Peer("torchvision", "PIL", True, _each(transform, [as_pil(image) for image in images]))
    yield Peer("torchvision", "tensor", True, _each(transform, list(images)))


def _batch_cutmix(images: Tensor) -> Peer:
    from torchvision.transforms import v2

    mix, labels = v2.CutMix(alpha=1.0, num_classes=CLASSES), labels_for(len(images)).to(images.device)
    task = Task(lambda: mix(images, labels), len(images), str(images.device))
    return Peer("torchvision", "one box for the batch", False, task)


def _timm(job: str, images: Tensor) -> Iterator[Peer]:
    from timm.data.auto_augment import rand_augment_transform
    from timm.data.mixup import FastCollateMixup
    from timm.data.random_erasing import RandomErasing

    if job == "randaugment":
        transform = rand_augment_transform("rand-m9-n2", {})
        for operation in transform.ops:
            operation.prob = 1.0  # by default each is applied with probability one half
        yield Peer("timm", "PIL, every operation on", True, _each(transform, [as_pil(image) for image in images]))
    what = job.removesuffix("_in_place")
    if what in ("cutout", "random_erasing"):
        # timm erases after normalising, since its noise is Gaussian and needs floats.
        area = (0.25, 0.25, 1.0, 1.0) if what == "cutout" else (0.02, 0.4, 0.3, 3.3333)
        mode, batch = ("const", images) if what == "cutout" else ("pixel", images.to(torch.float32))
        erase = RandomErasing(1.0, area[0], area[1], area[2], area[3], mode=mode, device="cpu")
        how = "tensor" if what == "cutout" else "float tensor"
        own = to_write_over(job, images) if job in IN_PLACE else None
        yield Peer("timm", how, True, Task(lambda: erase(batch.clone() if own is None else own), len(images)))
    if job == "cutmix":
        collate = FastCollateMixup(mixup_alpha=0.0, cutmix_alpha=1.0, mode="elem", label_smoothing=0.0, num_classes=CLASSES)
        samples = list(zip(images.numpy(), labels_for(len(images)).tolist(), strict=True))
        yield Peer("timm", "arrays, collated", True, Task(lambda: collate(samples), len(images)))


def _kornia(job: str, images: Tensor) -> Iterator[Peer]:
    import kornia.augmentation as K
    from kornia.augmentation import auto

    made: dict[str, Callable[[], Any]] = {
        "randaugment": lambda: auto.RandAugment(n=2, m=9),
        "autoaugment": lambda: auto.AutoAugment("cifar10"),
        "trivialaugment": lambda: auto.TrivialAugment(),
        "cutout": lambda: K.RandomErasing(scale=(0.25, 0.25), ratio=(1.0, 1.0), p=1.0),
        "random_erasing": lambda: K.RandomErasing(scale=(0.02, 0.4), ratio=(0.3, 3.3333), p=1.0),
        "cutmix": lambda: K.RandomCutMixV2(p=1.0, data_keys=["input", "class"]),
    }
    if job not in made:
        return
    transform, labels = made[job](), labels_for(len(images))

    def there_and_back(x: Tensor, *more: Tensor) -> Any:
        with torch.no_grad():
            done = transform(x.to(torch.float32) / 255, *more)
            result = done[0] if isinstance(done, list | tuple) else done
            return (result * 255).to(torch.uint8)

    if job in ("randaugment", "autoaugment", "trivialaugment"):
        yield Peer("kornia", "tensor", True, _each(there_and_back, [image[None] for image in images[: max(1, len(images) // 4)]]))
    elif job == "cutmix":
        yield Peer("kornia", "batch", True, Task(lambda: there_and_back(images, labels), len(images)))
    else:
        # kornia fills with one constant, which is less work than noise per pixel.
        equal = job != "random_erasing"
        yield Peer("kornia", "batch" if equal else "batch, constant", equal, Task(lambda: there_and_back(images), len(images)))


def _albumentations(job: str, images: Tensor) -> Iterator[Peer]:
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else the import looks for newer versions online
    import albumentations as A
    import cv2

    cv2.setNumThreads(1)
    side = images.shape[-1]
    made: dict[str, Callable[[], Any]] = {
        "randaugment": lambda: A.SomeOf(albumentations_space(A, side, 9 / 30, 9 / 30), n=2, replace=True, p=1),
        "autoaugment": lambda: _albumentations_autoaugment(A, side),
        "trivialaugment": lambda: A.OneOf(albumentations_space(A, side, 0.0, 1.0), p=1),
        "cutout": lambda: A.CoarseDropout((1, 1), (0.5, 0.5), (0.5, 0.5), fill=0, p=1),
        "random_erasing": lambda: A.Erasing((0.02, 0.4), (0.3, 3.3333), fill="random", p=1),
    }
    if job in made:
        compose = A.Compose([made[job]()])
        arrays = [image.permute(1, 2, 0).contiguous().numpy() for image in images]
        yield Peer("albumentations", "arrays", True, _each(lambda x: compose(image=x)["image"], arrays))


def _albumentations_autoaugment(A: Any, side: int) -> Any:
    from torchvision.transforms import v2

    def step(name: str, p: float, level: int | None) -> Any:
        strength = (level or 0) / 9
        return albumentations_op(A, name, side, strength, strength, p)

    policies = v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10)._policies
    return A.OneOf([A.Sequential([step(*first), step(*second)], p=1) for first, second in policies], p=1)


def _on_cuda(job: str, images: Tensor) -> Iterator[Peer]:
    """Looping over images is too slow on a GPU, so libraries are run as usual, with one draw of operations per batch."""
    device = str(images.device)
    if job == "cutmix":
        yield _batch_cutmix(images)
    transform = _torchvision_transform(job)
    if transform is not None:
        yield Peer("torchvision", "one draw for the batch", False, Task(lambda: transform(images), len(images), device))
        few = list(images[:16])
        yield Peer("torchvision", "tensor", True, Task(lambda: [transform(image) for image in few], len(few), device))
    if "kornia" in installed()[0]:
        for peer in _kornia(job, images):
            yield Peer(peer.library, peer.how, peer.equal_work, Task(peer.task.call, peer.task.images, device))
