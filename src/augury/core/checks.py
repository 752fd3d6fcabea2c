"""What a batch and a trace must be before their numbers reach a kernel, which reads and writes memory as it is told.

On a CPU values are looked at, which costs microseconds; on an accelerator looking would make the host wait, so that shapes
are checked by the host and values by assertions on the device.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.plan import Space
from augury.core.targets import Targets


def check_batch(batch: Batch) -> None:
    """InputError naming the field of a batch that does not fit its images."""
    if not isinstance(batch.images, Tensor) or batch.images.ndim != 4:
        found = str(list(batch.images.shape)) if isinstance(batch.images, Tensor) else type(batch.images).__name__
        raise InputError(f"batch: images must be a tensor [B,C,H,W], got {found}")
    count, (height, width) = len(batch), batch.images.shape[-2:]
    for name in ("ids", "visits", "groups", "key"):
        part = getattr(batch, name)
        if part is not None or name == "ids":
            _whole_numbers(part, f"batch: {name}", (count,))
    if batch.targets is not None and (not isinstance(batch.targets, Targets) or len(batch.targets) != count):
        rows = str(len(batch.targets)) if isinstance(batch.targets, Targets) else type(batch.targets).__name__
        raise InputError(f"batch: targets must be Targets of {count} rows, got {rows}")
    if batch.saliency is not None:
        _shaped(batch.saliency, "batch: saliency", (count, height, width))
    check_size(batch)


def check_size(batch: Batch) -> None:
    """InputError if `size` is not int64 [B,2] with rows and columns that the images have."""
    if batch.size is None:
        return
    _whole_numbers(batch.size, "batch: size", (len(batch), 2))
    height, width = batch.images.shape[-2:]
    message = f"batch: size must lie within the images, 0..{height} rows and 0..{width} columns"
    check_within(batch.size[:, 0], 0, height, message)
    check_within(batch.size[:, 1], 0, width, message)


def check_trace(trace: Mapping[str, Tensor], batch: Batch, slots: int, space: Space, wanted: frozenset[str]) -> None:
    """InputError naming the entry of a plan's trace that is missing or does not fit the batch.

    slots: of the plan. space: what its policy chooses from. wanted: `box`, `partner`, where the space needs them.
    """
    (height, width), count, entries, parameters = batch.images.shape[-2:], len(batch), len(space), space.parameters
    check_part(trace, "op", torch.int64, (count, slots))
    check_within(trace["op"], 0, entries - 1, f"trace: op must lie in 0..{entries - 1}")
    check_part(trace, "on", torch.bool, (count, slots))
    check_finite(trace, "value", (count, slots, parameters))
    for name in wanted:
        check_part(trace, name, torch.int64, (count, slots, *((4,) if name == "box" else ())))
    if "box" in wanted:
        check_boxes(trace["box"], "trace: box", (count, slots, 4), height, width)
    if "partner" in wanted:
        check_rows(trace["partner"], "trace: partner", (count, slots), count)


def check_part(trace: Mapping[str, Tensor], name: str, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    """InputError if a trace has no such entry, or one of another type or shape."""
    if not isinstance(trace, Mapping):
        raise InputError(f"trace: expected tensors by name, got {type(trace).__name__}")
    if name not in trace:
        raise InputError(f"trace: has no {name!r}; it is not a trace of this stage")
    _shaped(trace[name], f"trace: {name}", shape)
    if trace[name].dtype != dtype:
        raise InputError(f"trace: {name} must be {dtype}, got {trace[name].dtype}")


def check_finite(trace: Mapping[str, Tensor], name: str, shape: tuple[int, ...]) -> None:
    """InputError if a trace has no such float32 entry of this shape, or one with NaN or infinity."""
    check_part(trace, name, torch.float32, shape)
    _true(torch.isfinite(trace[name]), f"trace: {name} must be finite")


def check_boxes(box: Tensor, where: str, shape: tuple[int, ...], height: int, width: int) -> None:
    """InputError unless boxes (top, left, bottom, right) lie within images of this size, and end after they begin."""
    _whole_numbers(box, where, shape)
    message = f"{where} must lie within the images, 0..{height} rows and 0..{width} columns"
    check_within(box[..., 0::2], 0, height, message)
    check_within(box[..., 1::2], 0, width, message)
    _true(box[..., :2] <= box[..., 2:], f"{where} must end after it begins: top, left, bottom, right")


def check_rows(rows: Tensor, where: str, shape: tuple[int, ...], count: int) -> None:
    """InputError unless these are numbers of the batch's rows."""
    _whole_numbers(rows, where, shape)
    check_within(rows, 0, count - 1, f"{where} must lie in 0..{count - 1}, the batch's rows")


def check_within(values: Tensor, low: int, high: int, message: str) -> None:
    """InputError with this message, and the values' range, unless they lie in low..high."""
    if not _looks(values):
        if values.device.type == "cuda" and not torch.compiler.is_compiling():
            torch._assert_async(((values >= low) & (values <= high)).all(), message)
        return
    if values.numel() == 0:
        return
    least, most = torch.aminmax(values)
    if int(least) < low or int(most) > high:
        raise InputError(f"{message}; got {int(least)} to {int(most)}")


def _whole_numbers(tensor: Tensor, where: str, shape: tuple[int, ...]) -> None:
    _shaped(tensor, where, shape)
    if tensor.dtype != torch.int64:
        raise InputError(f"{where} must be int64, got {tensor.dtype}")


def _shaped(tensor: Tensor, where: str, shape: tuple[int, ...]) -> None:
    if not isinstance(tensor, Tensor):
        raise InputError(f"{where} must be a tensor, got {type(tensor).__name__}")
    if tuple(tensor.shape) != shape:
        raise InputError(f"{where} must have the shape {list(shape)}, got {list(tensor.shape)}")


def _true(holds: Tensor, message: str) -> None:
    """InputError unless all of it is true."""
    if _looks(holds) and not bool(holds.all()):
        raise InputError(message)
    if holds.device.type == "cuda" and not torch.compiler.is_compiling():
        torch._assert_async(holds.all(), message)


def _looks(values: Tensor) -> bool:
    """Whether values can be looked at, for nothing."""
    return values.device.type == "cpu" and not torch.compiler.is_compiling()
