"""The Triton back end: hands records to the kernels, one launch for the statistics of a slot and one for its pixels.

Both functions are custom operators of PyTorch, opaque to its compiler: a compiled stage has no graph break here, and the
kernels' rounding stays as they ask for it. Nothing waits for the device, and all shapes are static, so that launches can
be captured in a CUDA graph. Memory beside the result: one more batch for several slots, and 256 bytes per image and
channel.
"""

from typing import Any, cast

import torch
from torch import Tensor

from augury.augment.forms import plain, triton_kernels, triton_statistics
from augury.augment.forms.lowered import Lowered
from augury.augment.forms.operators import PIXELS, REGIONS, operator, pixel_records

# PyTorch's own kernels, equal by construction: gathers of a few large pieces, and operations that few chains have.
from augury.augment.forms.plain import cut as cut
from augury.augment.forms.plain import displaced as displaced
from augury.augment.forms.plain import extreme as extreme
from augury.augment.forms.plain import hue as hue
from augury.augment.forms.plain import mixed as mixed
from augury.augment.forms.plain import paste as paste
from augury.augment.forms.plain import smooth_field as smooth_field
from augury.augment.forms.plain import weighted as weighted

# Four pixels a thread: with more, a thread needs so many registers that a multiprocessor holds too few of them.
BLOCK = 1024
STATISTICS_BLOCK = 4096
LAUNCH = {"num_warps": 8, "enable_fp_fusion": False}


def pixels(images: Tensor, lowered: Lowered, size: Tensor) -> Tensor:
    """Warp, table and blend of every slot in turn, on uint8 [B,C,H,W]; returns new images."""
    return torch.ops.augury.pixels(images, size, lowered.form, *pixel_records(lowered))


def regions(images: Tensor, lowered: Lowered, box: Tensor, partner: Tensor, out: Tensor | None = None) -> Tensor:
    """The first slot's boxes (int64 [B,4]) filled, on uint8 or float images, into `out` or new images."""
    if images.dtype not in (torch.uint8, torch.float32):
        return plain.regions(images, lowered, box, partner, out)
    assert lowered.region is not None
    found = cast(Tensor, torch.ops.augury.regions(images, *(part[:, 0] for part in lowered.region), box, partner))
    return found if out is None else out.copy_(found)


@operator("pixels", PIXELS)
def _pixels(
    images: Tensor,
    size: Tensor,
    form: Tensor,
    matrix: Tensor | None,
    bilinear: Tensor | None,
    fill: Tensor | None,
    recipe: Tensor | None,
    value: Tensor | None,
    degenerate: Tensor | None,
    factor: Tensor | None,
) -> Tensor:
    slots = form.shape[1]
    if images.numel() == 0 or slots == 0:
        return images.clone(memory_format=torch.contiguous_format)
    source = images.contiguous()
    count, channels, height, width = images.shape
    step, form, parts = _aligned(form, [matrix, bilinear, fill, recipe, value, degenerate, factor])
    block, large = (_block(height * width, most) for most in (BLOCK, STATISTICS_BLOCK))
    tiles = -(-height * width // block)
    kept: dict[str, Any] = {"CHANNELS": channels, "WARPS": matrix is not None, "TABLES": recipe is not None, **LAUNCH}
    with torch.cuda.device_of(images):
        tables = images.new_empty(count, channels, 256) if kept["TABLES"] else None
        axes = images.new_empty(count, width + height, dtype=torch.int32) if kept["WARPS"] else None
        turns = [torch.empty_like(source) for _ in range(min(slots, 2))]
        sides = (size, size.stride(0), size.stride(1))
        for slot in range(slots):
            here = form[:, slot]
            matrix, bilinear, fill, recipe, value, degenerate, factor = (None if p is None else p[:, slot] for p in parts)
            target = turns[(slots - 1 - slot) % 2]
            if kept["WARPS"] or kept["TABLES"]:
                triton_statistics.statistics[(count * channels,)](
                    source, tables, axes, *sides, here, matrix, bilinear, recipe, value, step, height, width, BLOCK=large, **kept
                )
            triton_kernels.pixels[(count * tiles,)](
                source, target, tables, axes, *sides, here, matrix, bilinear, fill, recipe, value, degenerate, factor,
                step, height, width, tiles, BLENDS=degenerate is not None, BLOCK=block, **kept,
            )  # fmt: skip
            source = target
    return source


@operator("regions", REGIONS)
def _regions(images: Tensor, content: Tensor, fill: Tensor, pattern: Tensor, grid: Tensor, box: Tensor, partner: Tensor) -> Tensor:
    if images.numel() == 0:
        return images.clone(memory_format=torch.contiguous_format)
    images = images.contiguous()
    count, channels, height, width = images.shape
    out = torch.empty_like(images)
    step, content, (fill, pattern, grid) = _aligned(content[:, None], [fill[:, None], pattern[:, None], grid[:, None]])
    box = box if box.stride(1) == 1 else box.contiguous()
    block = _block(height * width, BLOCK)
    tiles = -(-height * width // block)
    with torch.cuda.device_of(images):
        triton_kernels.regions[(count * tiles,)](
            images, out, partner, partner.stride(0), content, fill, pattern, grid, step, box, box.stride(0),
            height, width, tiles, CHANNELS=channels, BLOCK=block, **LAUNCH,
        )  # fmt: skip
    return out


def _block(pixels: int, most: int) -> int:
    """Pixels per program: a power of two, no more than are needed."""
    return min(most, max(16, 1 << (pixels - 1).bit_length()))


def _aligned(form: Tensor, parts: list[Any]) -> tuple[int, Tensor, list[Any]]:
    """The step from row to row of [B,S,...] records, counted in entries and one for all; copies where they differ."""

    def step(part: Tensor) -> tuple[int, ...]:
        width = part.shape[2:].numel()
        return part.stride(0) // width, part.stride(0) % width, part.stride(1) // width, *part.stride()[2:]

    parts = [None if p is None else p.view(torch.uint8) if p.dtype == torch.bool else p for p in parts]
    wanted = (form.stride(0), 0, form.stride(1))
    if any(p is not None and step(p)[:3] != wanted for p in parts):
        form, parts = form.contiguous(), [None if p is None else p.contiguous() for p in parts]
    return form.stride(0), form, parts
