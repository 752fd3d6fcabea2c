"""The kinds of saliency map, and the map of a batch or an error that says where to get one."""

from typing import Literal

from torch import Tensor

from augury.core.batch import Batch
from augury.core.errors import InputError

SaliencyKind = Literal["full", "low_resolution", "early_head"]
AnySaliencyKind = Literal["full", "low_resolution", "early_head", "attention"]


def map_of(batch: Batch, name: str) -> Tensor:
    """The map float [B,H,W] that a stage called `name` needs; InputError where the batch has none, or one of another shape."""
    found = batch.saliency
    if found is None:
        raise InputError(
            f"{name} needs a saliency map: call pipeline.run(batch, noise, fill=augury.saliency(model)), or give the "
            "Batch a `saliency`; a plain call has no model"
        )
    if found.shape != batch.images[:, 0].shape:
        raise InputError(f"saliency: expected [B,H,W] {list(batch.images[:, 0].shape)}, got {list(found.shape)}")
    return found
