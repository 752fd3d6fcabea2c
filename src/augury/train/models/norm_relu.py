"""Batch normalisation, an optional shortcut's maps added, and ReLU, as one layer.

In bfloat16 on a CPU with few threads, compiled kernels (`norm_numba`) take one pass over the maps for the statistics and
one for the rest, both ways, where PyTorch takes four and six. Everywhere else, in float32 above all, the layer is
PyTorch's own functions one after the other, with their results to the bit.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

# PyTorch's own kernels take about four (forward) to five (backward) times as long on one thread, and share their work.
MOST_THREADS = 4


class NormRelu(nn.BatchNorm2d):
    """relu(batch norm(maps) + shortcut); its weights and statistics are called like those of `nn.BatchNorm2d`."""

    def forward(self, maps: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """maps, shortcut: [B,C,H,W] of the same shape."""
        if self._compiled(maps, shortcut):
            active, mean, variance = _Compiled.apply(maps, shortcut, self.weight, self.bias, self.eps)
            self._remember(mean, variance, maps.numel() // maps.shape[1])
            return active
        normal = super().forward(maps)
        return functional.relu(normal if shortcut is None else normal + shortcut)

    def _compiled(self, maps: Tensor, shortcut: Tensor | None) -> bool:
        """Whether the compiled kernels do it: training in bfloat16 on a CPU, channels last, on few threads."""
        return (
            self.training and maps.device.type == "cpu" and _suitable(maps) and (shortcut is None or _suitable(shortcut))
            and (shortcut is None or shortcut.shape == maps.shape) and maps.numel() > maps.shape[1]
            and self.weight.dtype == torch.float32
            and torch.get_num_threads() <= MOST_THREADS and not torch.compiler.is_compiling()
        )  # fmt: skip

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Move the running statistics as `nn.BatchNorm2d` does: the variance is the unbiased one there."""
        if not self.track_running_stats or self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_((variance * (count / (count - 1))).to(self.running_var.dtype), share)


def _suitable(maps: Tensor) -> bool:
    return maps.dtype == torch.bfloat16 and maps.dim() == 4 and maps.is_contiguous(memory_format=torch.channels_last)


class _Compiled(torch.autograd.Function):
    """The layer by the compiled kernels; with it the batch's means and biased variances, float64 [C], without gradients."""

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
