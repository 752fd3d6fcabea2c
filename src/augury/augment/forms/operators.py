"""Registers kernels as opaque custom ops, so that torch.compile does not trace them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from augury.augment.forms.lowered import Lowered

PIXELS = (
    "(Tensor images, Tensor size, Tensor form, Tensor? matrix, Tensor? bilinear, Tensor? fill,"
    " Tensor? recipe, Tensor? value, Tensor? degenerate, Tensor? factor) -> Tensor"
)
REGIONS = "(Tensor images, Tensor content, Tensor fill, Tensor pattern, Tensor grid, Tensor box, Tensor partner) -> Tensor"


def operator(name: str, schema: str) -> Callable[[Callable[..., Tensor]], Any]:
    """Registers a function of that schema, which returns new images [B,C,H,W], as `torch.ops.augury.<name>`."""

    def register(function: Callable[..., Tensor]) -> Any:
        made = torch.library.custom_op(f"augury::{name}", function, mutates_args=(), schema=schema)
        made.register_fake(lambda images, *_: torch.empty_like(images, memory_format=torch.contiguous_format))
        return made

    return register


def pixel_records(lowered: Lowered) -> list[Tensor | None]:
    """The parts of the warp, table and blend records, None for those of absent forms, in the order of PIXELS."""
    records = [lowered.warp or (None,) * 3, lowered.table or (None,) * 2, lowered.blend or (None,) * 2]
    return [part for record in records for part in record]
