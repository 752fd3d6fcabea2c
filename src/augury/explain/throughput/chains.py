"""Common training chains, from decoded uint8 pixels to a network's float inputs."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import default_collate

from augury.augment.names import pipeline
from augury.augment.pipeline import Pipeline
from augury.core.batch import Batch
from augury.core.noise import Noise
from augury.core.targets import Targets
from augury.explain.fidelity.pillow import as_pil

MEAN, STD, CLASSES = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225], 10
_RECIPE = "{crop}+flip+randaugment(num_ops=2, magnitude=9)+normalize+random_erasing(p=0.25)"
# {crop} depends on the image side: a crop with a padding of 4 pixels below 100, a resized crop from 100 on.
CHAINS = {
    "chain": _RECIPE,
    "chain_mixup": f"{_RECIPE}+mixup(alpha=0.8)",
    "chain_cutmix": f"{_RECIPE}+cutmix(p=1)",
    "chain_keep_cutout": "{crop}+flip+keep(cutout)+normalize",
    "chain_one_image": _RECIPE,
    "chain_collate": _RECIPE,
}


def text_of(job: str, side: int) -> str:
    """A job's chain for images of `side` pixels."""
    return CHAINS[job].format(crop="crop" if side < 100 else "resized_crop")


def built(job: str, side: int) -> Pipeline:
    """The pipeline of a job; it returns normalised float32."""
    return pipeline(text_of(job, side), normalize=(MEAN, STD))


def chain_call(job: str, images: Tensor, labels: Tensor) -> Callable[[], object]:
    """A call that augments all images, drawing anew each time. images: uint8 [B,C,H,W]."""
    made = built(job, images.shape[-1])
    if job == "chain_one_image":
        return _one_by_one(made, images)
    if job == "chain_keep_cutout":
        return _with_map(made, images, labels)
    if job == "chain_collate":
        samples = list(zip(images, labels.tolist(), strict=True))
        return lambda: made(*default_collate(samples), classes=CLASSES)
    return lambda: made(images, labels, classes=CLASSES)


def _one_by_one(made: Pipeline, images: Tensor) -> Callable[[], object]:
    from torchvision.transforms import v2

    transform, items = v2.Compose([made]), [as_pil(image) for image in images.cpu()]
    return lambda: [transform(item) for item in items]


def _with_map(made: Pipeline, images: Tensor, labels: Tensor) -> Callable[[], object]:
    """The chain with a given saliency map, since the cost of gradients depends on the network."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.arange(len(images), device=images.device)
    found = torch.rand(images[:, 0].shape, generator=generator).to(images.device)
    batch, epoch = Batch(images, Targets.of(labels, CLASSES), ids), 0

    def call() -> Tensor:
        nonlocal epoch
        epoch += 1
        done, _ = made.run(batch, Noise.of(0, ids, epoch=epoch), saliency=lambda b: b.replace(saliency=found))
        return done.images

    return call


def outcome(result: Any) -> Tensor:
    """The images that a call returned, float32 [B,C,H,W] for a chain."""
    if isinstance(result, list):
        return torch.stack(result)
    return result[0] if isinstance(result, tuple) else result
