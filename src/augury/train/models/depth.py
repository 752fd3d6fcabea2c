"""The depth of a network's parameters: the number of the stage or block each belongs to, from the stem (0) to the head."""

import importlib
from typing import Any

from torch import nn

from augury.train.models.backbone import unwrapped


def depths(network: nn.Module, *, stages: bool = False) -> dict[str, int]:
    """The depth of every parameter by name: 0 for the stem, then one number for each block, and the largest for the head and
    everything else after the last block.

    stages: number whole stages instead of blocks. timm's networks are divided as in timm, others into their stages (`taps`), and
    these into their blocks.
    """
    inner, path, head = unwrapped(network)
    found = _of_timm(inner, stages) if type(inner).__module__.startswith("timm.") else None
    if found is None:
        found = _of_modules(inner, _units(inner, [tap.removeprefix(path) for tap in getattr(network, "taps", ())], stages))
    last = max((depth for name, depth in found.items() if not name.startswith(f"{head}.")), default=0)
    beyond = max((depth for name, depth in found.items() if name.startswith(f"{head}.")), default=last + 1)
    names = [name for name, _ in network.named_parameters()]
    return {name: found.get(name.removeprefix(path), beyond) if name.startswith(path) else beyond for name in names}


def _of_timm(inner: nn.Module, stages: bool) -> dict[str, int] | None:
    """The depths of timm's `param_groups_layer_decay`; None for a network without a `group_matcher`."""
    matcher: Any = vars(type(inner)).get("group_matcher")
    if matcher is None:
        return None
    grouped: Any = importlib.import_module("timm.models").group_parameters
    return dict(grouped(inner, matcher(inner, coarse=stages), reverse=True))


def _of_modules(inner: nn.Module, units: list[str]) -> dict[str, int]:
    """Depths in the order of registration: parameters between two units belong to the one before, those before the first unit are
    the stem, and those after the last have the largest depth."""
    found, current, done = {}, 0, False
    for name, _ in inner.named_parameters():
        unit = next((number for number, path in enumerate(units, start=1) if name.startswith(f"{path}.")), None)
        if unit is not None:
            current = unit
        elif current == len(units):
            done = True
        found[name] = len(units) + 1 if done and unit is None else current
    least = min(found.values(), default=0)  # 1 if the first unit is the stem itself
    return {name: depth - least for name, depth in found.items()}


def _units(inner: nn.Module, taps: list[str], stages: bool) -> list[str]:
    """The paths of a network's stages, or of their blocks."""
    modules = dict(inner.named_modules())
    named = [tap for tap in taps if _holds(modules[tap])] or _longest(inner)
    blocks = [tap for tap in named if any(True for _ in modules[tap].children())]
    found = blocks or [tap for tap in named if any(p.ndim > 1 for p in modules[tap].parameters())]  # not bare normalisation
    return found if stages else [path for stage in found for path in _blocks(stage, modules[stage])]


def _blocks(path: str, stage: nn.Module) -> list[str]:
    """The paths of a stage's blocks, or of the stage itself if it is not a sequence of blocks."""
    inside = dict(stage.named_children())
    if not isinstance(stage, nn.Sequential | nn.ModuleList):
        row = inside.get("blocks")
        return [path] if row is None else _blocks(f"{path}.blocks", row)
    children = {name: child for name, child in inside.items() if _holds(child)}
    if len(children) < 2 or not all(any(True for _ in child.children()) for child in children.values()):
        return [path]
    return [f"{path}.{name}" for name in children]


def _longest(inner: nn.Module) -> list[str]:
    """The children of the sequence of modules with the most parameters, such as a transformer's blocks; if no sequence holds half
    of the parameters, those of the network without its head."""
    rows = [(path, row) for path, row in inner.named_modules() if path and isinstance(row, nn.Sequential | nn.ModuleList)]
    sizes = {path: _size(row) for path, row in rows if sum(map(_holds, row.children())) > 1}
    path = max(sizes, key=lambda found: sizes[found], default="")
    if 2 * sizes.get(path, 0) < _size(inner):
        return [name for name, child in inner.named_children() if _holds(child)][:-1]
    return [f"{path}.{name}" for name, child in inner.get_submodule(path).named_children() if _holds(child)]


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _holds(module: nn.Module) -> bool:
    return next(module.parameters(), None) is not None
