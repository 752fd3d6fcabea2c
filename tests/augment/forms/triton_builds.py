"""Builds the Triton kernels for an NVIDIA GPU, with or without one; run by test_triton.py in a process of its own.

The interpreter runs kernels that no compiler would take. Here the back end's own calls, with the tensors it would launch, are
compiled to machine code by a driver that names a device and launches nothing. Argument: the compute capability. Prints as
JSON, per kernel, how often it was built and what of its code must not be there.
"""

import json
import os
import sys
from collections import Counter
from types import SimpleNamespace
from typing import Any

import torch
import triton
from test_backends import batch_of, chain
from triton.backends.compiler import GPUTarget
from triton.runtime.jit import JITFunction

import augury
from augury.core import hash_triton
from augury.core.batch import Batch
from augury.core.noise import Noise

built: Counter[str] = Counter()
faults: list[str] = []


def pretend(capability: int) -> None:
    """Every launch becomes a compilation."""
    target = GPUTarget("cuda", capability, 32)
    device = SimpleNamespace(
        get_current_target=lambda: target, get_current_device=lambda: 0, get_current_stream=lambda _=0: 0,
        get_active_torch_device=lambda: torch.device("cpu"), is_active=lambda: True,
    )  # fmt: skip
    triton.runtime.driver.set_active(device)
    run = JITFunction.run

    def compiled(self: Any, *arguments: Any, grid: Any, warmup: bool, **options: Any) -> Any:
        kernel = run(self, *arguments, grid=grid, warmup=True, **options)
        examine(self.__name__, kernel)
        return kernel

    JITFunction.run = compiled


def examine(name: str, kernel: Any) -> None:
    """Counts a kernel once per variant, and notes fused multiply-adds, divisions in float32 and memory of a thread's own."""
    code = kernel.asm["ptx"]
    assert kernel.asm["cubin"]
    built[name] += 1
    if kernel.metadata.enable_fp_fusion:
        faults.append(f"{name}: products and sums may be fused")
    faults.extend(f"{name}: {word}" for word in ("fma.", "div.full", "div.approx", "rcp.approx", ".local") if word in code)


def build(name: str, shape: tuple[int, ...], *, kind: torch.dtype = torch.uint8, size: bool = False) -> None:
    batch = batch_of(shape)
    images = batch.images if kind == torch.uint8 else batch.images.to(kind)
    valid = torch.tensor([[shape[2] - 1, shape[3]]] * shape[0]) if size else None
    augury.pipeline(chain(name)).run(Batch(images, batch.targets, batch.ids, size=valid), Noise.of(5, batch.ids))


if __name__ == "__main__":
    pretend(int(sys.argv[1]))
    os.environ["AUGURY_BACKEND"] = "triton"
    for shape in [(2, 3, 32, 32), (2, 1, 17, 9), (2, 3, 64, 80)]:
        build("randaugment", shape)
        build("cutmix", shape)
    build("autoaugment(table=cifar10)", (2, 3, 32, 32), size=True)
    for alone in ("rotate(interpolation=bilinear)", "equalize", "sharpness"):
        build(alone, (2, 3, 32, 32))
    for region in ("random_erasing(p=1)", "grid_mask(rotate=true)"):
        build(region, (2, 3, 32, 32), kind=torch.float32)
    key = torch.arange(3)
    for part in (key, 5, 2**40, torch.tensor(5)):
        hash_triton.absorbed(key, part)
    hash_triton.absorbed(2**40, torch.tensor(5))
    hash_triton.bits(key, 2)
    hash_triton.uniform(key, 2)
    print(json.dumps({"built": built, "faults": sorted(set(faults))}))
