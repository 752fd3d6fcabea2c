"""Batch normalisation, addition of an optional shortcut, and ReLU in one call.

In bfloat16 on a CPU with few threads, compiled kernels (`norm_numba`) pass over the maps once for the statistics and once
for the rest, forward and backward, where PyTorch makes four and six passes. Otherwise, in particular in float32,
PyTorch's own functions are called one after the other, with bit-identical results.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

# On one thread PyTorch's own kernels take about four (forward) to five (backward) times as long, but they are parallel.
MOST_THREADS = 4


def norm_relu(norm: nn.Module, maps: Tensor, shortcut: Tensor | None = None) -> Tensor:
    """relu(norm(maps) + shortcut). maps, shortcut: [B,C,H,W] of the same shape.

    A function rather than a layer, so that replacing a network's `BatchNorm2d` (by a frozen or synchronised one, ...) takes
    effect: anything but a plain `BatchNorm2d` without hooks is called as it is.
    """
    if type(norm) is nn.BatchNorm2d and is_compiled(norm, maps, shortcut):
        active, mean, variance = _Compiled.apply(maps, shortcut, norm.weight, norm.bias, norm.eps)
        _remember(norm, mean, variance, maps.numel() // maps.shape[1])
        return active
    normal = norm(maps)
    return functional.relu(normal if shortcut is None else normal + shortcut)


def is_compiled(norm: nn.BatchNorm2d, maps: Tensor, shortcut: Tensor | None) -> bool:
    """Whether the compiled kernels are used: for training in bfloat16 on a CPU, channels last, on few threads."""
    return (
        norm.training and maps.device.type == "cpu" and _suitable(maps) and (shortcut is None or _suitable(shortcut))
        and (shortcut is None or shortcut.shape == maps.shape) and maps.numel() > maps.shape[1]
        and norm.affine and norm.weight.dtype == torch.float32 and not (norm._forward_hooks or norm._forward_pre_hooks)
        and torch.get_num_threads() <= MOST_THREADS and not torch.compiler.is_compiling()
    )  # fmt: skip


@torch.no_grad()
def _remember(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor, count: int) -> None:
    """Update the running statistics as `nn.BatchNorm2d` does, with the unbiased variance."""
    if not norm.track_running_stats or norm.running_mean is None or norm.running_var is None:
        return
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    share = 1 / norm.num_batches_tracked.item() if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), share)
    norm.running_var.lerp_((variance * (count / (count - 1))).to(norm.running_var.dtype), share)


def _suitable(maps: Tensor) -> bool:
    return maps.dtype == torch.bfloat16 and maps.dim() == 4 and maps.is_contiguous(memory_format=torch.channels_last)


class _Compiled(torch.autograd.Function):
    """The compiled layer; also returns the batch's means and biased variances, float64 [C], without gradients."""

    @staticmethod
    def forward(
        ctx: Any, maps: Tensor, shortcut: Tensor | None, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        from augury.train.models import norm_numba as kernels

        mean, variance = kernels.statistics(maps)
        deviation = (variance + eps).rsqrt()
        scale = weight.double() * deviation
        active = kernels.normalised(maps, shortcut, scale, bias.double() - mean * scale)
        ctx.save_for_backward(maps, active, mean, deviation, scale)
        ctx.mark_non_differentiable(mean, variance)
        return active, mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor | None, Tensor, Tensor, None]:
        from augury.train.models import norm_numba as kernels

        maps, active, mean, deviation, scale = ctx.saved_tensors
        gradient = gradient.to(torch.bfloat16).contiguous(memory_format=torch.channels_last)
        total, product = kernels.gradient_sums(maps, active, gradient, mean)
        for_weight, count = product * deviation, maps.numel() // maps.shape[1]
        slope = scale * deviation * for_weight / count
        offset = scale * total / count - slope * mean
        for_maps, for_shortcut = kernels.gradients(maps, active, gradient, scale, slope, offset, shortcut=ctx.needs_input_grad[1])
        return for_maps, for_shortcut, for_weight.float(), total.float(), None
