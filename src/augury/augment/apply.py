"""Applies one operation with given native parameters; nothing is drawn."""

import math
from typing import Any, overload

import torch
from PIL import Image
from torch import Tensor

from augury.augment.forms.region import clipped
from augury.augment.inputs import as_pixels, targets_of
from augury.augment.ops.build import option_names
from augury.augment.pil import from_pil, to_pil
from augury.augment.stages.plan import PlanStage
from augury.core import registry
from augury.core.batch import Batch
from augury.core.devices import check_augments
from augury.core.doors import door
from augury.core.errors import InputError
from augury.core.grammar import renamed
from augury.core.op import Op
from augury.core.options import Interval, Spec, bind
from augury.core.plan import Single, SpaceEntry
from augury.core.targets import Targets


@overload
def apply(name: str, images: Tensor, labels: None = None, **values: Any) -> Tensor: ...
@overload
def apply(name: str, images: Image.Image, labels: None = None, **values: Any) -> Image.Image: ...
@overload
def apply(name: str, images: Any, labels: Tensor, **values: Any) -> tuple[Any, Targets]: ...


@door
def apply(
    name: str,
    images: Any,
    labels: Tensor | None = None,
    *,
    partner: Tensor | None = None,
    classes: int | None = None,
    **values: Any,
) -> Any:
    """Apply one operation with native parameters: a number for all images, or a tensor [B] with one number for each.

    images: uint8 or float in [0,1], [B,C,H,W] or [C,H,W], or a PIL image. A parameter that is not given has the median of its
    default law. Region operations take `top` and `left` (pixels, possibly outside the image); mixes take `partner` int64 [B]
    and, with `labels`, return (images, Targets). Raises InputError naming the parameter that is unknown, out of range or of a
    wrong shape.

    >>> images = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    >>> apply("invert", images).unique().tolist()
    [255]
    """
    if isinstance(images, Image.Image):
        if labels is None:
            return to_pil(apply(name, from_pil(images), partner=partner, classes=classes, **values))
        done, mixed = apply(name, from_pil(images), labels, partner=partner, classes=classes, **values)
        return to_pil(done), mixed
    made, values = registry.get("op", name), renamed(name, values)
    fixed = {k: values.pop(k) for k in list(values) if k in option_names(name)}
    operation: Op = made(**bind(made, Spec(name, fixed), name))
    pixels, restore = as_pixels(images)
    check_augments(pixels.device)
    corner: dict[str, Any] = {k: values.pop(k) for k in ("top", "left") if k in values and operation.form == "region"}
    known = [*operation.parameters, *fixed]
    for key in values:
        if key not in operation.parameters:
            raise InputError(registry.unknown(f"parameter of {name}", key, known))
    stage = PlanStage(name, Single(SpaceEntry(operation)))
    trace = _fixed_trace(operation, pixels, values, corner)
    if "partner" in operation.needs:
        trace["partner"] = _partner(partner, pixels)[:, None]
    targets = None if labels is None else targets_of(labels, images.ndim == 3, len(pixels), classes)
    batch = stage.apply(Batch(pixels, targets, torch.arange(len(pixels), device=pixels.device)), trace)
    return restore(batch.images) if labels is None else (restore(batch.images), batch.targets)


def _fixed_trace(operation: Op, pixels: Tensor, values: dict[str, Any], corner: dict[str, Any]) -> dict[str, Tensor]:
    count, device = len(pixels), pixels.device
    columns = [_column(operation, n, values.get(n), count, device) for n in operation.parameters]
    trace = {
        "op": torch.zeros(count, 1, dtype=torch.int64, device=device),
        "on": torch.ones(count, 1, dtype=torch.bool, device=device),
        "value": torch.stack(columns, 1)[:, None] if columns else torch.zeros(count, 1, 0, dtype=torch.float32, device=device),
    }
    if operation.shape is not None and operation.place is not None:
        size = Batch(pixels, None, torch.arange(count, device=device)).sizes()
        named = dict(zip(operation.parameters, columns, strict=True))
        extent = operation.shape(named, size)
        middle = operation.place(torch.full((count, 2), 0.5, dtype=torch.float32, device=device), extent, size).unbind(1)
        placed = [_whole(corner[n], count, device, n) if n in corner else m for n, m in zip(("top", "left"), middle, strict=True)]
        trace["box"] = clipped(torch.stack(placed, 1), extent, size)[:, None]
    return trace


def _column(operation: Op, name: str, given: object, count: int, device: torch.device) -> Tensor:
    parameter = operation.parameters[name]
    where = f"{operation.name}({name})"
    if given is None:
        middle = torch.full((count,), 0.5, dtype=torch.float32, device=device)
        return parameter.law.value(middle, middle)
    try:
        if isinstance(given, Tensor) and given.is_complex():
            raise TypeError
        value = torch.as_tensor(given, dtype=torch.float32, device=device)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise InputError(f"{where}: expected a number or one per image, got {type(given).__name__}") from None
    if value.ndim > 1 or (value.ndim == 1 and len(value) != count):
        raise InputError(f"{where}: expected a number or one per image, [{count}]; got {list(value.shape)}")
    if device.type == "cpu" and value.numel():
        low, high = float(value.min()), float(value.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise InputError(f"{where}: expected numbers, got NaN or infinity")
        if not (low in _as_float32(parameter.range) and high in _as_float32(parameter.range)):
            raise InputError(f"{where} must be {parameter.range} {parameter.unit}, got {low:g} to {high:g}")
    return value.expand(count)


def _as_float32(accepted: Interval) -> Interval:
    """The range rounded to float32 like the values compared with it; float32's 0.01 is slightly below 0.01."""
    low, high = torch.tensor([accepted.low, accepted.high], dtype=torch.float32, device="cpu").tolist()
    return Interval(low, high)


def _whole(given: object, count: int, device: torch.device, name: str) -> Tensor:
    try:
        value = torch.as_tensor(given, device=device)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise InputError(f"{name}: expected whole pixels, one number or [{count}], got {type(given).__name__}") from None
    if (
        value.is_floating_point()
        or value.is_complex()
        or value.dtype == torch.bool
        or value.ndim > 1
        or (value.ndim == 1 and len(value) != count)
    ):
        raise InputError(f"{name}: expected whole pixels, one number or [{count}]")
    return value.to(torch.int64).expand(count)


def _partner(partner: object, pixels: Tensor) -> Tensor:
    if partner is None:
        raise InputError("partner: this operation reads another image; give each row's partner, int64 [B]")
    try:
        partner = torch.as_tensor(partner, device=pixels.device)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise InputError(f"partner: expected int64 [{len(pixels)}], got {type(partner).__name__}") from None
    if partner.shape != (len(pixels),) or partner.is_floating_point() or partner.dtype == torch.bool:
        raise InputError(f"partner: expected int64 [{len(pixels)}], got {partner.dtype} {list(partner.shape)}")
    if partner.device.type == "cpu" and len(partner) and not (int(partner.min()) >= 0 and int(partner.max()) < len(pixels)):
        raise InputError(f"partner: rows must lie in 0..{len(pixels) - 1}")
    return partner.to(torch.int64)
