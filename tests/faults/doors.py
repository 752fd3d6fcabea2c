"""Every public door with arguments that are right, and things that are wrong for most of them."""

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

import augury
from augury.core.noise import Noise
from augury.core.targets import Targets

IMAGES = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
THINGS: list[Any] = [
    None, True, -1, 3, 10**400, 2.5, float("nan"), float("inf"), "", "a", "rotate(", "\x1b[31m" + "x" * 900, b"bytes", [], ["a", 3],
    (), (1, 2, 3), {}, {"a": {"b": 1}}, object(), int, torch.zeros(3), torch.zeros(2, dtype=torch.bool), torch.tensor(1j),
    torch.zeros(0), Path("nowhere"), lambda: 0, {1, 2}, range(3), torch.nn.Linear(1, 1),
]  # fmt: skip
Door = tuple[str, Callable[..., Any], tuple[Any, ...], dict[str, Any]]


def _batch() -> augury.Batch:
    return augury.Batch(IMAGES, Targets.of(torch.tensor([0, 1]), 2), torch.arange(2))


def _noise() -> Noise:
    return Noise.of(0, torch.arange(2))


def doors() -> list[Door]:
    """Name, function, and its arguments: each of them, and every option it declares, is exchanged for every thing."""
    crop, targets, noise = augury.pipeline("crop"), Targets.of(torch.tensor([0, 1])), _noise()
    traces = crop.run(_batch(), noise)[1]
    network = augury.model("small_cnn", classes=2)
    found: list[Door] = [
        ("pipeline", augury.pipeline, ("crop",), {}),
        ("pipeline with options", augury.pipeline, ("randaugment",), {"num_ops": 1, "magnitude": 3}),
        ("policy", augury.policy, ("randaugment",), {"num_ops": 1}),
        ("strategy", augury.strategy, ("erm",), {"smoothing": 0.1}),
        ("model", augury.model, ("small_cnn",), {"classes": 2, "channels": 3}),
        ("names", augury.names, ("op",), {}),
        ("apply", augury.apply, ("rotate", IMAGES), {"degrees": 9.0}),
        ("apply mixup", augury.apply, ("mixup", IMAGES, torch.tensor([0, 1])), {"partner": torch.tensor([1, 0]), "classes": 2}),
        ("apply cutout", augury.apply, ("cutout", IMAGES), {"top": 1, "left": 2}),
        ("dataset", augury.dataset, ("nowhere",), {}),
        ("dataset validation", augury.dataset, ("digits",), {"validation": 2.0}),
        ("load_plugin", augury.load_plugin, ("nowhere",), {}),
        ("saliency", augury.saliency, (network,), {}),
        ("fit", augury.fit, ("nowhere",), {"output": "out", "epochs": "none"}),
        ("compare", augury.compare, ("nowhere",), {"output": "out", "epochs": "none", "seeds": 1}),
        ("method", augury.method, (network,), {"classes": 2}),
        ("with_ids", augury.with_ids, ([0, 1],), {}),
        ("call", crop, (IMAGES,), {}),
        ("call that mixes", augury.pipeline("mixup"), (IMAGES, torch.tensor([0, 1])), {"classes": 2}),
        ("run", crop.run, (_batch(), noise), {}),
        ("replay", crop.apply, (_batch(), traces), {}),
        ("describe", crop.describe, (traces, 0), {}),
        ("samples", crop.samples, (IMAGES,), {"draws": 1}),
        ("Targets.of", Targets.of, (torch.tensor([0, 1]),), {"classes": 2}),
        ("mix", targets.mix, (torch.tensor([1, 0]), torch.ones(2)), {}),
        ("smoothed", targets.smoothed, (0.1,), {}),
        ("loss", targets.loss, (torch.zeros(2, 2),), {}),
        ("Targets.cat", Targets.cat, ([targets],), {}),
        ("Noise.of", Noise.of, (0, torch.arange(2)), {}),
        ("fold", noise.fold, ("a",), {}),
        ("bits", noise.bits, (1,), {}),
        ("uniform", noise.uniform, (1,), {}),
        ("integers", noise.integers, (1, 3), {}),
        ("Batch", _run_of_batch, (IMAGES, None, torch.arange(2)), {}),
        ("Uniform", augury.Uniform, (0.0, 1.0), {}),
        ("Settings", augury.Settings, ("digits",), {}),
    ]  # fmt: skip
    for kind, module in (("op", augury.ops), ("policy", augury.policies), ("preset", augury.presets)):
        found += [(f"{kind} {name}", getattr(module, name), (), {}) for name in augury.names(kind)]
    return found


def _run_of_batch(
    images: Any, targets: Any, ids: Any, visits: Any = None, groups: Any = None, saliency: Any = None, size: Any = None
) -> Any:
    """A batch is a plain record; what is wrong with it is seen where it is used."""
    return augury.pipeline("crop").run(augury.Batch(images, targets, ids, visits, groups, saliency, size), _noise())


def calls(door: Door) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Every call of a door with one argument exchanged, and what it is in words."""
    name, function, given, options = door
    for place in range(len(given)):
        for thing in THINGS:
            yield f"{name}[{place}]={thing!r:.40}", _call(function, (*given[:place], thing, *given[place + 1 :]), options)
    declared = [
        p.name for p in inspect.signature(function).parameters.values()
        if p.kind is p.KEYWORD_ONLY or (p.kind is p.POSITIONAL_OR_KEYWORD and p.default is not p.empty)
    ]  # fmt: skip
    taken = list(inspect.signature(function).parameters)[: len(given)]
    for key in dict.fromkeys([*options, *(d for d in declared if d not in taken)]):
        for thing in THINGS:
            yield f"{name}({key}={thing!r:.40})", _call(function, given, {**options, key: thing})


def _call(function: Callable[..., Any], given: tuple[Any, ...], options: dict[str, Any]) -> Callable[[], Any]:
    return lambda: function(*given, **options)
