"""The workloads to measure: the same augmentations at two sizes, called as users call Augury."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.datasets import load_sample_images
from torch import Tensor

from augury.augment.names import pipeline
from augury.augment.pipeline import Pipeline
from augury.core import registry
from augury.core.batch import Batch
from augury.core.noise import Noise
from augury.core.targets import Targets
from augury.explain.throughput.chains import CHAINS, CLASSES, built, chain_call

# A batch is written over, as by timm's own loop: pixels, and normalised values.
IN_PLACE = {"cutout_in_place": "cutout(p=1)", "random_erasing_in_place": "random_erasing(p=1)"}
JOBS = {
    "randaugment": "randaugment(num_ops=2, magnitude=9)",
    "autoaugment": "autoaugment(table=cifar10)",
    "inaugment": "inaugment(policy=autoaugment(table=cifar10))",
    "trivialaugment": "trivialaugment",
    "cutout": "cutout(p=1)",
    "random_erasing": "random_erasing(p=1)",
    "cutmix": "cutmix(p=1)",
    "elastic": "elastic(p=1)",
    "swirl": "swirl(p=1)",
    "dilate": "dilate(p=1)",
    **IN_PLACE,
    **CHAINS,
}


@dataclass(frozen=True)
class Size:
    """Square uint8 images [batch,3,side,side]."""

    side: int
    batch: int

    @property
    def name(self) -> str:
        return f"{self.side}x{self.side}"


def sizes(device: str, quick: bool) -> tuple[Size, ...]:
    """The batches used in the documentation, or small ones for a quick run of a few seconds."""
    if quick:
        return Size(32, 64), Size(224, 4)
    return (Size(32, 1024), Size(224, 256)) if device.startswith("cuda") else (Size(32, 512), Size(224, 64))


def batches(job: str, size: Size, device: str, quick: bool) -> tuple[Size, ...]:
    """The sizes at which a job is measured: chains at common batch sizes, and one call per image for `chain_one_image`."""
    if quick or device.startswith("cuda"):
        return (size,)
    if job in IN_PLACE:
        return size, Size(size.side, 4 * size.batch)
    if job not in CHAINS:
        return (size,)
    if job == "chain_one_image":
        return (Size(size.side, 16),)
    return tuple(Size(size.side, batch) for batch in ((64, 256, 1024) if job != "chain_collate" else (64,)))


def jobs() -> tuple[list[str], list[str]]:
    """The names of the jobs that can run, and of those whose augmentation is not registered."""
    every = {name: name.removesuffix("_in_place") for name in JOBS}
    known = [
        name for name in every if name in CHAINS or any(registry.has(kind, every[name]) for kind in ("preset", "policy", "op"))
    ]
    return known, [name for name in JOBS if name not in known]


def images_for(size: Size) -> Tensor:
    """Crops of scikit-learn's two photographs: uint8 [batch,3,side,side] on the CPU, the same each time."""
    random = np.random.default_rng(size.side)
    photographs = load_sample_images().images
    found = np.empty((size.batch, size.side, size.side, 3), np.uint8)
    for k in range(size.batch):
        photograph = photographs[k % 2]
        top, left = (int(random.integers(0, n - size.side + 1)) for n in photograph.shape[:2])
        found[k] = photograph[top : top + size.side, left : left + size.side]
    return torch.from_numpy(found.transpose(0, 3, 1, 2).copy())


def labels_for(count: int) -> Tensor:
    return torch.arange(count) % CLASSES


def call_of(job: str, images: Tensor) -> Callable[[], object]:
    """Calls Augury's public interface on a batch; every call draws anew."""
    labels = labels_for(len(images)).to(images.device)
    if job in CHAINS:
        return chain_call(job, images, labels)
    made = pipeline(JOBS[job])
    if job in IN_PLACE:
        return _over(made, to_write_over(job, images))
    if not made.mixes:
        return lambda: made(images)
    return lambda: made(images, labels, classes=CLASSES)


def to_write_over(job: str, images: Tensor) -> Tensor:
    """A copy of the images as an in-place job takes them: noise is painted on values, zeros on pixels."""
    return images.clone() if job == "cutout_in_place" else images.float() / 64 - 2


def _over(made: Pipeline, images: Tensor) -> Callable[[], object]:
    """Calls that write over the images: pixels by the front door, normalised values, which it does not take, as a batch."""
    if images.dtype == torch.uint8:
        return lambda: made(images, out=images)
    batch, epoch = Batch(images, None, torch.arange(len(images), device=images.device)), 0

    def call() -> Tensor:
        nonlocal epoch
        epoch += 1
        return made.run(batch, Noise.of(0, batch.ids, epoch=epoch), out=images)[0].images

    return call


def addressed(job: str, images: Tensor) -> tuple[Pipeline, Callable[[Tensor], Batch]]:
    """A pipeline, and a function from the epoch (an int64 tensor on the images' device) to the augmented batch."""
    made = built(job, images.shape[-1]) if job in CHAINS else pipeline(JOBS[job])
    ids = torch.arange(len(images), device=images.device)
    targets = Targets.of(labels_for(len(images)).to(images.device), CLASSES)
    batch = Batch(images, targets, ids)
    return made, lambda epoch: made.run(batch, Noise.of(0, ids, epoch=epoch))[0]
