"""Checks that a device's compiled kernels match the plain back end bit for bit: every operation, and fused chains."""

import torch
from torch import Tensor

from augury.augment.names import pipeline
from augury.core import registry
from augury.core.batch import Batch
from augury.core.noise import Noise
from augury.core.targets import Targets
from augury.explain.fidelity.libraries import using

CLASSES = 10
# Together they contain every form, on pixels and on values.
CHAINS = ("crop+flip+randaugment+cutmix", "resized_crop+flip+trivialaugment+normalize+random_erasing+mixup")
STATISTICS = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def differing_operations(backend: str, device: str) -> dict[str, str]:
    """Operations whose result on this device differs from the plain back end's on the CPU, each with a description."""
    return {name: seen for name in registry.names("op") if (seen := _difference(f"{name}(p=1)", backend, device))}


def differing_chains(backend: str, device: str) -> dict[str, str]:
    """Chains whose result on this device differs from the plain back end's on the CPU, each with a description."""
    return {text: seen for text in CHAINS if (seen := _difference(text, backend, device))}


def _difference(text: str, backend: str, device: str) -> str:
    """How the results differ; "" if they are equal bit for bit."""
    try:
        expected = _result(text, "plain", "cpu")
        found = _result(text, backend, device)
    except Exception as error:  # a driver, a compiler or a library may raise any exception
        return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
    if torch.equal(expected, found):
        return ""
    unequal = expected != found
    return f"{int(unequal.sum())} of {unequal.numel()} values differ, at most by {float((expected - found).abs().max()):.3g}"


def _result(text: str, backend: str, device: str) -> Tensor:
    """float32 images on the CPU, from 16 colour images of noise, 24 pixels high and 40 wide."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (16, 3, 24, 40), dtype=torch.uint8, generator=generator).to(device)
    ids = torch.arange(len(images), device=device)
    saliency = torch.rand(images[:, 0].shape, generator=generator).to(device)
    batch = Batch(images, Targets.of(ids % CLASSES, CLASSES), ids, saliency=saliency)
    made = pipeline(text, normalize=STATISTICS if "normalize" in text else None)
    with using(backend, fuse=backend != "plain"):
        return made.run(batch, Noise.of(0, ids, epoch=1))[0].images.to("cpu", torch.float32)
