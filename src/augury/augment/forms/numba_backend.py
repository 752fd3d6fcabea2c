"""The numba back end: hands records to the compiled kernels, in parts over PyTorch's thread count."""

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor

from augury.augment.forms import numba_hue, numba_kernels, numba_maps, numba_regions, numba_separable, plain
from augury.augment.forms.lowered import Lowered
from augury.augment.forms.neighbourhood import Neighbourhood
from augury.augment.forms.operators import PIXELS, REGIONS, operator, pixel_records
from augury.augment.forms.threads import in_parts


def pixels(images: Tensor, lowered: Lowered, size: Tensor) -> Tensor:
    """Warp, table and blend of every slot in turn, on uint8 [B,C,H,W]; returns new images."""
    if images.device.type != "cpu" or images.numel() == 0:
        return plain.pixels(images, lowered, size)
    run = torch.ops.augury.host_pixels if torch.compiler.is_compiling() else _pixels
    return run(images, size, lowered.form, *pixel_records(lowered))


def regions(images: Tensor, lowered: Lowered, box: Tensor, partner: Tensor, out: Tensor | None = None) -> Tensor:
    """The first slot's boxes (int64 [B,4]) filled, on uint8 or float images, into `out` or new images."""
    if not _takes(images) or (out is not None and torch.compiler.is_compiling()):
        return plain.regions(images, lowered, box, partner, out)
    assert lowered.region is not None
    content, fill, pattern, grid = (part[:, 0] for part in lowered.region)
    if torch.compiler.is_compiling():
        return cast(Tensor, torch.ops.augury.host_regions(images, content, fill, pattern, grid, box, partner))
    return _regions(images, content, fill, pattern, grid, box, partner, out)


def mixed(images: Tensor, others: Tensor, partner: Tensor, weight: Tensor) -> Tensor:
    """images mixed with the partners among `others`, as augury.augment.forms.mix.mix describes it."""
    if torch.compiler.is_compiling() or not (_takes(images) and _takes(others) and images.dtype == others.dtype):
        return plain.mixed(images, others, partner, weight)
    images = images.contiguous()
    out = torch.empty_like(images)
    arrays = (_array(others), _array(out), _array(partner), _array(weight))
    kernel = numba_regions.mix_pixels if images.dtype == torch.uint8 else numba_regions.mix_values
    _in_parts(kernel, images, *arrays)
    return out


def hue(images: Tensor, levels: Tensor) -> Tensor:
    """Hues turned, as augury.augment.forms.hue describes it."""
    if _compiled_or_elsewhere(images) or images.numel() == 0:
        return plain.hue(images, levels)
    return _mapped(numba_hue.hue, images, _array(levels))


def weighted(images: Tensor, position: Tensor, weight: Tensor, dim: int) -> Tensor:
    """Sums along `dim`, as augury.augment.forms.separable.weighted describes them."""
    if _compiled_or_elsewhere(images) or images.numel() == 0:
        return plain.weighted(images, position, weight, dim)
    shape = list(images.shape)
    shape[dim] = position.shape[1]
    out = torch.empty(shape, dtype=torch.uint8, device="cpu")
    kernel = numba_separable.weighted_columns if dim == 3 else numba_separable.weighted_rows
    _in_parts(kernel, images, _array(out), _array(position), _array(weight.to(torch.int32)))
    return out


def cut(images: Tensor, rows: Tensor, box: Tensor, side: int) -> Tensor:
    """uint8 [n,C,side,side]: the boxes (int64 [n,4]) of the images in `rows` (int64 [n]), in the top left corner."""
    if _compiled_or_elsewhere(images) or not len(rows):
        return plain.cut(images, rows, box, side)
    out = torch.zeros(len(rows), images.shape[1], side, side, dtype=images.dtype, device="cpu")
    numba_regions.cut(_array(images), _array(out), _array(rows), _array(box))
    return out


def paste(images: Tensor, pieces: Tensor, corner: Tensor, size: Tensor, on: Tensor, order: Tensor) -> Tensor:
    """images with their pieces over them, as augury.augment.forms.plain.paste describes it."""
    if _compiled_or_elsewhere(images) or images.numel() == 0:
        return plain.paste(images, pieces, corner, size, on, order)
    out = images.clone(memory_format=torch.contiguous_format)
    numba_regions.paste(_array(out), *map(_array, (pieces, corner, size, on, order)))
    return out


def displaced(images: Tensor, row: Tensor, column: Tensor, size: Tensor) -> Tensor:
    """uint8 [n,C,H,W] read at row and column, as augury.augment.forms.displace describes it."""
    if _compiled_or_elsewhere(images) or images.numel() == 0:
        return plain.displaced(images, row, column, size)
    return _mapped(numba_maps.displaced, images, *map(_array, (row, column, size)))


def smooth_field(key: Tensor, weights: Sequence[float], height: int, width: int) -> Tensor:
    """float64 [n,2,H,W]: smoothed noise, as augury.augment.forms.displace describes it."""
    if _compiled_or_elsewhere(key) or not len(key):
        return plain.smooth_field(key, weights, height, width)
    out = torch.empty(len(key), 2, height, width, dtype=torch.float64, device="cpu")
    arrays = _array(key), _array(out), np.array(weights)
    in_parts(lambda start, stop: numba_maps.smooth_field(*arrays, start, stop), len(key), out[0].nbytes)
    return out


def extreme(images: Tensor, width: Tensor, size: Tensor, around: Neighbourhood) -> Tensor:
    """uint8 [n,C,H,W]: the picks from neighbourhoods, as augury.augment.forms.neighbourhood describes them."""
    if _compiled_or_elsewhere(images) or images.numel() == 0:
        return plain.extreme(images, width, size, around)
    return _mapped(numba_maps.extreme, images, _array(width), _array(size), around.brightest, around.square, around.after)


def _pixels(images: Tensor, size: Tensor, form: Tensor, *parts: Tensor | None) -> Tensor:
    arrays = [_array(absent if part is None else part) for part, absent in zip(parts, _ABSENT, strict=True)]
    return _mapped(numba_kernels.pixels, images, _array(size), _array(form), *arrays, 0)


def _regions(
    images: Tensor, content: Tensor, fill: Tensor, pattern: Tensor, grid: Tensor, box: Tensor, partner: Tensor,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    paint = _array(fill).astype(np.uint8 if images.dtype == torch.uint8 else np.float32)
    arrays = (_array(partner), _array(content), paint, _array(pattern), _array(grid), _array(box))
    images = images.contiguous()
    out = torch.empty_like(images) if out is None else out
    _in_parts(numba_regions.regions, images, _array(out), *arrays, out.data_ptr() == images.data_ptr())
    return out


operator("host_pixels", PIXELS)(_pixels)
operator("host_regions", REGIONS)(lambda *given: _regions(*given))  # without `out`, which PyTorch's compiler would have to know


def _takes(images: Tensor) -> bool:
    """Whether these are images that the kernels of boxes and mixes are made for: pixels or plain float32 values, in memory here."""
    known = images.dtype in (torch.uint8, torch.float32) and not images.requires_grad
    return known and images.device.type == "cpu" and images.numel() > 0


def _compiled_or_elsewhere(images: Tensor) -> bool:
    """Whether PyTorch has to do it: on another device, or within a graph that its compiler makes."""
    return images.device.type != "cpu" or torch.compiler.is_compiling()


def _mapped(kernel: Callable[..., None], images: Tensor, *arguments: object) -> Tensor:
    """New images, of the same shape and type, that a kernel writes."""
    images = images.contiguous()
    out = torch.empty_like(images)
    _in_parts(kernel, images, _array(out), *arguments)
    return out


def _in_parts(kernel: Callable[..., None], images: Tensor, *arguments: object) -> None:
    """All rows, on as many threads as there is work for; rows do not depend on each other."""
    read = _array(images)
    in_parts(lambda start, stop: kernel(read, *arguments, start, stop), len(images), images[0].numel() * images.element_size())


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.contiguous().numpy()


# Never read: no row of `form` names an absent form.
_ABSENT = (
    torch.zeros(1, 1, 6, dtype=torch.float64, device="cpu"),
    torch.zeros(1, 1, dtype=torch.bool, device="cpu"),
    torch.zeros(1, 1, dtype=torch.float32, device="cpu"),
    torch.zeros(1, 1, dtype=torch.int64, device="cpu"),
    torch.zeros(1, 1, dtype=torch.float64, device="cpu"),
    torch.zeros(1, 1, dtype=torch.int64, device="cpu"),
    torch.zeros(1, 1, dtype=torch.float32, device="cpu"),
)
