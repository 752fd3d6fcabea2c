"""Chains as people run them: from decoded pixels to what the network reads, a mix at the end or not, one image or a batch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from augury.augment.names import pipeline
from augury.augment.saliency.fill import saliency
from augury.core.batch import Batch
from augury.core.noise import Noise
from augury.core.targets import Targets
from augury.explain.fidelity.pillow import as_pil
from augury.explain.throughput.timing import Task
from augury.explain.throughput.workloads import CLASSES, Size, labels_for

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CIFAR = "crop+flip+randaugment(num_ops=2,magnitude=9)"
IMAGENET = "resized_crop+flip+randaugment(num_ops=2,magnitude=9)"
ERASING = "random_erasing(p=0.5)"


@dataclass(frozen=True)
class Work:
    """One piece of work: a chain in the grammar's words, the side of its images, and how it is called.

    how: `batch`: a batch of uint8 tensors; `image`: one PIL image, as in a Compose; `collate`: the images of a batch one by
    one with their labels, as a DataLoader's collate_fn gets them; `saliency`: a batch with maps from a small network.
    """

    text: str
    side: int
    how: str = "batch"


def _with_ends(name: str, base: str, side: int) -> Iterator[tuple[str, Work]]:
    erased = f"{base}+normalize+{ERASING}"
    yield f"{name} chain", Work(erased, side)
    yield f"{name} chain + mixup", Work(f"{erased}+mixup(alpha=0.2)", side)
    yield f"{name} chain + cutmix", Work(f"{erased}+cutmix(p=1)", side)


WORKS: dict[str, Work] = {
    **dict(_with_ends("CIFAR", CIFAR, 32)),
    **dict(_with_ends("ImageNet", IMAGENET, 224)),
    "CIFAR keep_cutout": Work("crop+flip+normalize+keep(cutout)", 32, "saliency"),
    "ImageNet chain, PIL image": Work(f"{IMAGENET}+normalize+{ERASING}", 224, "image"),
    "CIFAR chain, collate_fn": Work(f"{CIFAR}+normalize+{ERASING}+cutmix(p=1)", 32, "collate"),
}
BATCHES = (64, 256, 1024)
MOST_BYTES = 1 << 29  # of values in a batch: 1,024 images of 224x224 would need three times that, twice


def sizes_of(work: Work, quick: bool) -> list[Size]:
    """The batches in which a piece of work is measured."""
    if work.how == "image":
        return [Size(work.side, 1)]
    if quick:
        return [Size(work.side, 16 if work.side < 100 else 4)]
    return [Size(work.side, batch) for batch in BATCHES if batch * work.side**2 * 12 < MOST_BYTES]


def task_of(work: Work, images: Tensor) -> Task:
    """Augury's way: every call draws anew, and the result is what a network reads."""
    return Task(_call(work, images), len(images), str(images.device))


def _call(work: Work, images: Tensor) -> Callable[[], object]:
    made = pipeline(work.text, normalize=(MEAN, STD))
    labels = labels_for(len(images)).to(images.device)
    if work.how == "image":
        image = as_pil(images[0])
        return lambda: made(image)
    if work.how == "collate":
        samples = list(zip(images, labels, strict=True))
        return lambda: made(
            torch.stack([image for image, _ in samples]), torch.stack([label for _, label in samples]), classes=CLASSES
        )
    if work.how == "saliency":
        fill = saliency(_network(), mean=MEAN, std=STD)
        batch = Batch(images, Targets.of(labels, CLASSES), torch.arange(len(images)))
        return lambda: made.run(batch, Noise.of(0, batch.ids), fill=fill)
    if made.mixes:
        return lambda: made(images, labels, classes=CLASSES)
    return lambda: made(images)


def _network() -> nn.Module:
    """A network as small as a map can come from, so that what the pipeline does is not lost beside it."""
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, CLASSES)
        )
