"""`augury verify`: compares the operations of Augury and of other installed libraries with Pillow's, and published policies
with the libraries they come from."""

import functools
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from augury.explain.fidelity.cases import Case, cases
from augury.explain.fidelity.difference import VERDICTS, Difference, difference
from augury.explain.fidelity.images import SIZES, images_of
from augury.explain.fidelity.libraries import Function, Library, own, peers
from augury.explain.fidelity.pillow import bounds, reference
from augury.explain.fidelity.policies import comparisons
from augury.jobs.environment import environment
from augury.jobs.outputs import open_output
from augury.jobs.progress import bar
from augury.train.engine.checkpoint import write_json

Sizes = Iterable[tuple[int, int]]


def verify(
    output: Path | None = None, *, with_peers: bool = True, sizes: Sizes = SIZES, quiet: bool = False, command: str = ""
) -> dict[str, Any]:
    """Compare and, if `output` is given, write result.json there; `exact` tells whether every row of Augury is as promised.

    A row per library, operation, strength, size and number of channels, each the worst over seven kinds of images. With
    peers, also a row in `policies` per policy of a library, compared entry by entry (`augury.explain.fidelity.policies`).
    """
    if output is not None:
        open_output(output)
    nothing: tuple[list[Library], list[str]] = ([], [])
    others, absent = peers() if with_peers else nothing
    policies, versions, without = comparisons() if with_peers else ([], {}, [])
    libraries = [*own(), *others]
    rows: list[dict[str, Any]] = []
    sizes, wanted = tuple(sizes), cases()
    with bar(len(wanted) * len(sizes), quiet, "comparisons") as progress:
        for size in sizes:
            pictures = {channels: images_of(*size, channels) for channels in (3, 1)}
            for case in wanted:
                progress.label(f"{case.title} {size[0]}x{size[1]}")
                rows += [row for library in libraries for row in _rows(library, case, pictures)]
                progress.advance()
    wrong = [r for r in rows if r["own"] and VERDICTS.index(r["verdict"]) > VERDICTS.index(r["allowed"])]
    strange = sum(policy.different > 0 for policy in policies)
    result = {
        "version": 1,
        "command": command,
        "exact": not wrong and not strange,
        "wrong": len(wrong) + strange,
        "reference": "Pillow " + environment()["pillow"],
        "libraries": {library.name: library.version for library in libraries} | versions,
        "not_installed": sorted({*absent, *without}),
        "environment": environment(),
        "sizes": [list(size) for size in sizes],
        "rows": rows,
        "policies": [asdict(policy) for policy in policies],
    }
    if output is not None:
        write_json(output / "result.json", result)
    return result


def _rows(library: Library, case: Case, pictures: dict[int, dict[str, Tensor]]) -> Iterator[dict[str, Any]]:
    """The worst difference of one library per number of channels; empty if it has no such operation."""
    try:
        function = library.function(case)
    except Exception as error:
        function = _raising(error)
    if function is None:
        return
    for channels, images in pictures.items():
        worst = _worst(library, case, function, images)
        yield {
            "library": library.name, "own": library.own, "operation": case.operation, "options": dict(case.options),
            "title": case.title, "strength": case.strength, "size": list(next(iter(images.values())).shape[1:]),
            "channels": channels, "verdict": worst.verdict, "allowed": case.allowed, "share": worst.share,
            "largest": worst.largest, "input": worst.input, "reason": worst.reason,
        }  # fmt: skip


def _worst(library: Library, case: Case, function: Function, images: dict[str, Tensor]) -> Difference:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = function(torch.stack(list(images.values())))
    except Exception as error:
        if library.own:
            raise
        return Difference("refuses", reason=" ".join(f"{type(error).__name__}: {error}".split())[:200])
    found = []
    for (name, image), result in zip(images.items(), results, strict=True):
        expected = reference(case, image, library.centred)
        limits = functools.partial(bounds, case, image, expected, library.centred) if case.moves else None
        found.append(difference(result, expected, name, limits))
    return max(found, key=lambda d: d.order)


def _raising(error: Exception) -> Function:
    def function(images: Tensor) -> Tensor:
        raise error

    return function
