"""Checks the images and labels that users pass, converts them to uint8 batches and `Targets`, and converts results back."""

from collections.abc import Callable
from typing import TypeGuard

import torch
from torch import Tensor

from augury.core.devices import as_tensor, is_host
from augury.core.errors import InputError
from augury.core.targets import Targets, check_indices

# Of colour images, multispectral ones and stacks; more are no images, or have their channels last.
MOST_CHANNELS = 16


def targets_of(labels: object, single: bool, count: int, classes: int | None) -> Targets:
    """The checked labels of `count` images; with `single`, of one image without a batch dimension."""
    try:
        tensor = as_tensor(labels)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise InputError(f"labels: expected class indices or soft labels, got {type(labels).__name__}") from None
    targets = Targets.of(tensor[None] if single else tensor, classes)
    if len(targets) != count:
        raise InputError(f"labels: {len(targets)} labels for {count} images")
    return targets


def targets_where(needed: bool, labels: object, single: bool, count: int, classes: int | None) -> Targets | None:
    """The checked labels, as `targets_of` gives them; None where there are none, and where they are not needed, so that checking is
    all there is to do."""
    if labels is None:
        return None
    if needed or single or not _are_indices(labels, count) or (classes is not None and classes < 1):
        targets = targets_of(labels, single, count, classes)
        return targets if needed else None
    check_indices(labels, int(labels.max()) + 1 if classes is None else classes)
    return None


def _are_indices(labels: object, count: int) -> TypeGuard[Tensor]:
    if not isinstance(labels, Tensor) or not is_host(labels.device):
        return False
    return labels.dtype == torch.int64 and labels.shape == (count,) and count > 0


def as_pixels(images: object) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """The images as uint8 [B,C,H,W], and the function that converts results back to the form that was passed."""
    if not isinstance(images, Tensor):
        raise InputError(f"images: expected a tensor or a PIL image, got {type(images).__name__}")
    if images.ndim not in (3, 4) or not 1 <= images.shape[-3] <= MOST_CHANNELS:
        raise InputError(f"images: expected [B,C,H,W] or [C,H,W] with 1 to {MOST_CHANNELS} channels, got {list(images.shape)}")
    if images.shape[-1] in (1, 3) and images.shape[-3] not in (1, 3):
        raise InputError(f"images: expected channels first, [B,C,H,W] or [C,H,W], got {list(images.shape)}; permute them")
    batched = images if images.ndim == 4 else images[None]

    def shape(result: Tensor) -> Tensor:
        return result if images.ndim == 4 else result[0]

    if images.dtype == torch.uint8:
        return batched, shape
    if not images.is_floating_point():
        raise InputError(f"images: expected uint8, or float in [0, 1]; got {images.dtype}")
    check_range(batched)
    # In float32 at least: bfloat16 rounds 255.5 to 256, which does not fit uint8.
    wide = batched if batched.dtype == torch.float64 else batched.float()
    return (wide * 255 + 0.5).to(torch.uint8), lambda result: shape(result.to(images.dtype) / 255)


def check_range(images: Tensor) -> None:
    """Check that floats lie in [0, 1]. Normalised images, the usual mistake, would otherwise be clamped silently.

    Raises InputError on the CPU. On a GPU it is an asynchronous device assertion, which does not stall the stream, and in a
    compiled graph an assertion that does not break the graph.
    """
    good = ((images >= 0) & (images <= 1)).all()
    message = "images: float pixels must lie in [0, 1]; augment before normalising, or pass uint8"
    if not is_host(images.device):
        torch._assert_async(good, message)
    elif not bool(good):
        raise InputError(message + (" (NaN found)" if bool(images.isnan().any()) else ""))
