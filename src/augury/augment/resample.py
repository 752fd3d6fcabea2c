"""Resizes and blurs images and patches with weights from `forms.separable` and weighted sums by the back end."""

import torch
from torch import Tensor

from augury.augment.forms.backends import backend
from augury.augment.forms.separable import Kernel, Separable, check_windows, taps_of, weights
from augury.augment.forms.warp import Warp, warp
from augury.core import devices


def separable(images: Tensor, record: Separable, size: Tensor) -> Tensor:
    """images uint8 [n,C,H,W], resized or blurred within their valid `size`; pixels outside it are unchanged."""
    if images.numel() == 0:
        return images.clone()
    check_windows(record, size)
    height, width = images.shape[-2:]
    made = resampled(images, record, size, size, height, width)
    if devices.is_host(size.device) and bool((size == torch.tensor([height, width], device="cpu")).all()):
        return made
    y = torch.arange(height, device=images.device)[:, None]
    x = torch.arange(width, device=images.device)
    valid = (y < size[:, 0, None, None]) & (x < size[:, 1, None, None])
    return torch.where(valid[:, None], made, images)


def resampled(images: Tensor, record: Separable, size: Tensor, target: Tensor, height: int, width: int) -> Tensor:
    """images uint8 [n,C,H,W] of valid `size`, resampled to [n,C,height,width]; only the first `target` rows and columns
    (int64 [n,2]) of the result are valid."""
    if devices.is_host(images.device) and record.kernel != Kernel.GAUSSIAN and len(images):
        # Reading values costs nothing on a CPU, so use only as many weights as these rows need.
        lengths = torch.stack([record.rows[:, 1] - record.rows[:, 0], record.columns[:, 1] - record.columns[:, 0]], 1)
        record = record._replace(taps=taps_of(record.kernel, float((lengths / target.clamp(min=1)).max())))
    across = weights(record, record.columns, size[:, 1], target[:, 1], width)
    down = weights(record, record.rows, size[:, 0], target[:, 0], height)
    run = backend(images.device)
    return run.weighted(run.weighted(images, *across, 3), *down, 2)


def resize(patches: Tensor, size: Tensor, target: Tensor, side: int, resample: str, shrink: float) -> Tensor:
    """uint8 [n,C,side,side]: patches of valid `size`, resized to `target` (int64 [n,2]) as Pillow does.

    shrink: an upper bound on how many times larger than its target a patch is, which bounds the number of weights.
    """
    ends = torch.stack([torch.zeros_like(size), size], 2).double()
    if resample == "nearest":
        scale = size.double() / target.clamp(min=1)
        zero = torch.zeros_like(scale[:, 0])
        matrix = torch.stack([scale[:, 1], zero, zero, zero, scale[:, 0], zero], 1)
        canvas = torch.nn.functional.pad(patches, (0, max(0, side - patches.shape[3]), 0, max(0, side - patches.shape[2])))
        nearest = Warp(matrix, torch.zeros(len(size), dtype=torch.bool, device=size.device), zero.float())
        return warp(canvas, nearest, size)[:, :, :side, :side]
    kernel = Kernel.CUBIC if resample == "bicubic" else Kernel.TRIANGLE
    record = Separable(kernel, taps_of(kernel, shrink), ends[:, 0], ends[:, 1])
    return resampled(patches, record, size, target, side, side)
