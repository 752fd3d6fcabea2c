"""The front doors to augmentation: pipelines, single operations and policies by their registered names."""

import functools
import inspect
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from augury.augment.by_side import BySide, BySideStage
from augury.augment.forms.region import clipped
from augury.augment.pil import from_pil, to_pil
from augury.augment.pipeline import Pipeline, as_pixels, targets_of
from augury.augment.stage import Normalize, PlanStage
from augury.core import registry
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.laws import Law, law_from
from augury.core.op import Op
from augury.core.options import Chain, Interval, Spec, bind, chain_from, convert, parse_chain
from augury.core.plan import Choice, Policy, Single

Statistics = tuple[tuple[float, ...], tuple[float, ...]]


def pipeline(name: str | Chain | Spec | list[Any] | dict[str, Any], /, *, seed: int = 0, **options: Any) -> Pipeline:
    """An augmentation by name, `pipeline("randaugment", num_ops=2)`, or as a chain, `pipeline("crop+flip+cutout")`.

    Called on images it draws anew each time. `seed` alone chooses the draws, whatever `torch.manual_seed` says: two pipelines of
    one seed draw alike, so keep one and call it again, and give views or runs that are to differ seeds of their own.
    Raises InputError for unknown names and options.
    """
    chain = chain_from(name, "pipeline")
    if options:
        if len(chain.stages) != 1:
            raise InputError("pipeline: options belong inside the brackets of a chain's names")
        spec = chain.stages[0]
        chain = Chain((Spec(spec.name, {**spec.options, **options}, spec.first),))
    return Pipeline(tuple(stages_of(chain, "pipeline")), seed, origin=str(chain))


def build(chain: Chain, statistics: Statistics, where: str = "--augment") -> Pipeline:
    """The pipeline of a training: the chain's stages with `normalize` after the last one that needs pixels.

    Cutout, random erasing and the mixes at the end of a chain therefore see normalised values, where 0 is the mean
    colour, as their papers have it; a chain that goes on with pixel operations keeps them on pixels.
    """
    stages = stages_of(chain, where)
    last = max((i for i, stage in enumerate(stages) if stage.domain == "pixels"), default=-1)
    return Pipeline((*stages[: last + 1], Normalize(*statistics), *stages[last + 1 :]))


def stages_of(chain: Chain, where: str) -> list[Any]:
    """The stages that a chain of names stands for: presets, then policies, then single operations are looked up."""
    return [stage for spec in chain.stages for stage in _stages(spec, where)]


def _stages(spec: Spec, where: str) -> list[Any]:
    if is_policy_file(spec.name):
        return _from_file(spec, where)
    if registry.has("pipeline", spec.name):
        made = registry.get("pipeline", spec.name)
        result = made(**bind(made, spec, where))
        return stages_of(result, where) if isinstance(result, Chain) else list(result)
    if registry.has("policy", spec.name):
        found = _policy(spec, where)
        return [BySideStage.of(spec.name, found) if isinstance(found, BySide) else PlanStage(spec.name, found)]
    if registry.has("op", spec.name):
        return [op_stage(spec, where)]
    known = sorted({*registry.names("pipeline"), *registry.names("policy"), *registry.names("op")})
    raise InputError(f"{where}: {registry.unknown('augmentation', spec.name, known)}")


def is_policy_file(name: str) -> bool:
    """Whether an augmentation's name is a policy file's path."""
    return Path(name).suffix.lower() in (".yaml", ".yml")


def _from_file(spec: Spec, where: str) -> list[Any]:
    from augury.augment.policies.file import policy_of
    from augury.augment.policies.file_reader import read_policy

    if spec.options or spec.first:
        raise InputError(f"{where}: a policy file takes no options: {spec}")
    content = read_policy(spec.name)
    if content.augment:
        return stages_of(parse_chain(content.augment, spec.name), where)
    return [PlanStage(Path(spec.name).stem, policy_of(content))]


def policy(name: str, /, **options: Any) -> Policy:
    """A policy by its registered name: `policy("randaugment", num_ops=2, magnitude=9)`."""
    return _policy(Spec(name, options), "policy")


def _policy(spec: Spec, where: str) -> Policy:
    made = registry.get("policy", spec.name)
    return made(**bind(made, spec, where))


def op(name: str, where: str = "op", **options: Any) -> Op:
    """An operation by its registered name, with its fixed options; the same one for the same options."""
    made = registry.get("op", name)
    return _made(made, tuple(sorted(bind(made, Spec(name, options), where).items())))


@functools.lru_cache(maxsize=4096)
def _made(factory: Callable[..., Op], options: tuple[tuple[str, Any], ...]) -> Op:
    return factory(**dict(options))


def op_stage(spec: Spec, where: str) -> PlanStage:
    """A single operation as a stage. Options: those of its factory, laws for its parameters, and `p`, its chance."""
    plain = _factory(spec, where)
    names = list(plain.parameters)
    options = dict(spec.options)
    options |= _leading(spec, names, where)
    chance = convert(options.pop("p", plain.p), float, f"{where}: {spec.name}(p)")
    if chance not in Interval(0, 1):
        raise InputError(f"{where}: {spec.name}(p={chance:g}) must be from 0 to 1")
    laws = {n: law_from(options[n], f"{where}: {spec.name}({n}={options[n]})") for n in names if n in options}
    for name, law in laws.items():
        _check_support(law, plain.parameters[name].range, f"{where}: {spec.name}({name})")
    return PlanStage(spec.name, Single(Choice(plain, laws), chance), plain.intensive)


def _leading(spec: Spec, parameters: list[str], where: str) -> dict[str, Any]:
    """The value given without a key: the factory's first option where it can be that, else the first parameter.

    `cutout(8)` is a length and `crop(4)` a padding; `rotate(30)` is degrees, since 30 is no interpolation.
    """
    if not spec.first:
        return {}
    made, fixed = registry.get("op", spec.name), _option_names(spec.name)
    if len(spec.first) == 1 and fixed:
        try:
            bind(made, Spec(spec.name, {fixed[0]: spec.first[0]}), where)
        except InputError:
            if not parameters:
                raise
        else:
            return _once(spec, fixed[0], where)
    if len(spec.first) > 1 or not parameters:
        raise InputError(f"{where}: {spec.name} takes {'one value' if parameters or fixed else 'no value'} without a key: {spec}")
    return _once(spec, parameters[0], where)


def _once(spec: Spec, key: str, where: str) -> dict[str, Any]:
    if key in spec.options:
        raise InputError(f"{where}: {spec.name} is given {key!r} twice: {spec}")
    return {key: spec.first[0]}


def _factory(spec: Spec, where: str) -> Op:
    """The operation with those of the spec's options that are its factory's; unknown ones are refused."""
    made = registry.get("op", spec.name)
    plain: Op = made()
    given = {**spec.options, **_leading(spec, list(plain.parameters), where)}
    fixed = {k: v for k, v in given.items() if k in _option_names(spec.name)}
    result: Op = made(**bind(made, Spec(spec.name, fixed), where))
    known = [*_option_names(spec.name), *result.parameters, "p"]
    for key in spec.options:
        if key not in known:
            raise InputError(f"{where}: {registry.unknown(f'option of {spec.name}', key, known)}")
    return result


def _option_names(name: str) -> list[str]:
    return [n for n, p in inspect.signature(registry.get("op", name)).parameters.items() if p.kind is p.KEYWORD_ONLY]


def _check_support(law: Law, allowed: Interval, where: str) -> None:
    if law.support.low not in allowed or law.support.high not in allowed:
        raise InputError(f"{where} must be {allowed}")


def apply(
    name: str,
    images: Any,
    labels: Tensor | None = None,
    *,
    partner: Tensor | None = None,
    classes: int | None = None,
    **values: Any,
) -> Any:
    """One operation with native parameters, a number for all images or a tensor [B] with one for each.

    images: uint8 or float in [0,1], [B,C,H,W] or [C,H,W], or a PIL image. Parameters not given take their default law's middle.
    Region operations take `top` and `left` (pixels, may lie outside); mixes take `partner` int64 [B] and, with `labels`,
    return (images, Targets). Raises InputError naming the parameter that is unknown, out of range or of a wrong shape.

    >>> images = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    >>> apply("invert", images).unique().tolist()
    [255]
    """
    if isinstance(images, Image.Image):
        result = apply(name, from_pil(images), labels, partner=partner, classes=classes, **values)
        return to_pil(result) if labels is None else (to_pil(result[0]), result[1])
    made = registry.get("op", name)
    fixed = {k: values.pop(k) for k in list(values) if k in _option_names(name)}
    operation: Op = made(**bind(made, Spec(name, fixed), name))
    pixels, restore = as_pixels(images)
    corner: dict[str, Any] = {k: values.pop(k) for k in ("top", "left") if k in values and operation.form == "region"}
    known = [*operation.parameters, *fixed]
    for key in values:
        if key not in operation.parameters:
            raise InputError(registry.unknown(f"parameter of {name}", key, known))
    stage = PlanStage(name, Single(Choice(operation)))
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
        "value": torch.stack(columns, 1)[:, None] if columns else torch.zeros(count, 1, 0, device=device),
    }
    if operation.shape is not None and operation.place is not None:
        size = Batch(pixels, None, torch.arange(count, device=device)).sizes()
        named = dict(zip(operation.parameters, columns, strict=True))
        extent = operation.shape(named, size)
        middle = operation.place(torch.full((count, 2), 0.5, device=device), extent, size).unbind(1)
        placed = [_whole(corner[n], count, device, n) if n in corner else m for n, m in zip(("top", "left"), middle, strict=True)]
        trace["box"] = clipped(torch.stack(placed, 1), extent, size)[:, None]
    return trace


def _column(operation: Op, name: str, given: Any, count: int, device: torch.device) -> Tensor:
    parameter = operation.parameters[name]
    where = f"{operation.name}({name})"
    if given is None:
        middle = torch.full((count,), 0.5, device=device)
        return parameter.law.value(middle, middle)
    try:
        value = torch.as_tensor(given, dtype=torch.float32, device=device)
    except (TypeError, ValueError, RuntimeError):
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
    """The range as the values that are compared with it are: 0.01 is a hair below 0.01 there."""
    low, high = torch.tensor([accepted.low, accepted.high], dtype=torch.float32).tolist()
    return Interval(low, high)


def _whole(given: Any, count: int, device: torch.device, name: str) -> Tensor:
    value = torch.as_tensor(given, device=device)
    if value.is_floating_point() or value.ndim > 1 or (value.ndim == 1 and len(value) != count):
        raise InputError(f"{name}: expected whole pixels, one number or [{count}]")
    return value.to(torch.int64).expand(count)


def _partner(partner: Any, pixels: Tensor) -> Tensor:
    if partner is None:
        raise InputError("partner: this operation reads another image; give each row's partner, int64 [B]")
    try:
        partner = torch.as_tensor(partner, device=pixels.device)
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"partner: expected int64 [{len(pixels)}], got {type(partner).__name__}") from None
    if partner.shape != (len(pixels),) or partner.is_floating_point() or partner.dtype == torch.bool:
        raise InputError(f"partner: expected int64 [{len(pixels)}], got {partner.dtype} {list(partner.shape)}")
    if partner.device.type == "cpu" and len(partner) and not (int(partner.min()) >= 0 and int(partner.max()) < len(pixels)):
        raise InputError(f"partner: rows must lie in 0..{len(pixels) - 1}")
    return partner.to(torch.int64)
