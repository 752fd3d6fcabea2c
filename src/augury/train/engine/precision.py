"""Chooses bfloat16 or float32 for a training with `--precision auto`.

On a CPU, bfloat16 is faster for some networks on processors that support it, and slower otherwise. A probe of about a second runs
the training's own network on a few images in both; bfloat16 is used if it is faster and the training long enough.
"""

import copy
import os
import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from augury.core.errors import InputError
from augury.train.engine.settings import Settings
from augury.train.strategies.strategy import members

LEAST_GAIN = 1.2
LEAST_SECONDS = 60.0  # of a training in float32; in a shorter one, the time saved is not worth different figures
_IMAGES, _ROUNDS = 32, 3


@dataclass(frozen=True)
class Precision:
    """bfloat16: whether networks compute in bfloat16 where that is safe. note: for readers of the run's result."""

    bfloat16: bool
    note: str | None = None


def precision_of(settings: Settings, device: torch.device, model: nn.Module, images: Tensor, per_epoch: int) -> Precision:
    """The precision of a training. images: uint8 [N,C,H,W], for their shape. per_epoch: source images of an epoch.

    The environment variable AUGURY_PRECISION, float32 or bfloat16, replaces the choice of `auto`.
    """
    if settings.precision != "auto":
        return Precision(settings.precision == "bfloat16")
    if asked := os.environ.get("AUGURY_PRECISION"):
        if asked not in ("float32", "bfloat16"):
            raise InputError(f"AUGURY_PRECISION: {asked!r} is neither float32 nor bfloat16")
        return Precision(asked == "bfloat16")
    if device.type != "cpu":
        return Precision(device.type == "cuda" and torch.cuda.is_bf16_supported())
    if not native():
        return Precision(False)
    single, half = probe(model, images.shape[1:])
    needed = single * per_epoch * settings.total_epochs / torch.get_num_threads()
    if needed < LEAST_SECONDS or single < LEAST_GAIN * half:
        return Precision(False)
    return Precision(
        True, f"computed in bfloat16, {single / half:.1f} times as fast as float32 here; --precision float32 avoids it"
    )


def native() -> bool:
    """Whether this processor has bfloat16 instructions."""
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    return any(features.get(name, False) for name in ("avx512bf16", "amx-bf16", "bf16"))


def probe(model: nn.Module, shape: tuple[int, ...] | torch.Size) -> tuple[float, float]:
    """CPU seconds of a forward and backward pass per image, in float32 and in bfloat16: the fastest of a few rounds each.

    Runs copies of the networks, so that weights, statistics and PyTorch's generator do not change.
    """
    images = torch.zeros(_IMAGES, *shape).contiguous(memory_format=torch.channels_last)
    networks = [copy.deepcopy(network).train() for network in members(model)]
    best = [float("inf"), float("inf")]
    with torch.random.fork_rng(devices=[]):
        for turn in range(_ROUNDS + 1):
            for place, half in enumerate((False, True)):
                begun = time.process_time()
                for network in networks:
                    with torch.autocast("cpu", torch.bfloat16, enabled=half):
                        logits = network(images)
                    logits.float().square().mean().backward()
                if turn:  # the first round compiles and fills caches
                    best[place] = min(best[place], time.process_time() - begun)
    return best[0] / _IMAGES, best[1] / _IMAGES
