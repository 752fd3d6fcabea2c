"""`augury verify`: every operation that Pillow has, compared with Pillow: Augury's, and other libraries' where installed."""

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from augury.core.errors import InputError
from augury.explain.fidelity.cases import Case, cases
from augury.explain.fidelity.difference import VERDICTS, Difference, difference
from augury.explain.fidelity.images import SIZES, images_of
from augury.explain.fidelity.libraries import Function, Library, own, peers
from augury.explain.fidelity.pillow import reference
from augury.jobs.environment import environment
from augury.jobs.outputs import open_output
from augury.jobs.progress import bar
from augury.train.engine.checkpoint import write_json

Sizes = Iterable[tuple[int, int]]


def verify(
    output: Path | None = None, *, with_peers: bool = True, sizes: Sizes = SIZES, quiet: bool = False, command: str = ""
) -> dict[str, Any]:
    """Compare and, where `output` is given, write result.json there; `exact` says whether Augury is as close as promised.

    A row per library, operation, strength and size, each the worst over seven kinds of images and 1 and 3 channels.
    """
    if output is not None:
        open_output(output)
    libraries, absent = own(), []
    if with_peers:
        found, absent = peers()
        libraries += found
    rows = []
    sizes, wanted = tuple(sizes), cases()
    with bar(len(wanted) * len(sizes), quiet, "comparisons") as progress:
        for size in sizes:
            pictures = [images_of(*size, channels) for channels in (3, 1)]
            for case in wanted:
                progress.label(f"{case.title} {size[0]}x{size[1]}")
                expected = [[reference(case, image) for image in group.values()] for group in pictures]
                rows += [_row(library, case, size, pictures, expected) for library in libraries]
                progress.epoch()
    rows = [row for row in rows if row is not None]
    wrong = [r for r in rows if r["own"] and VERDICTS.index(r["verdict"]) > VERDICTS.index(r["allowed"])]
    result = {
        "version": 1,
        "command": command,
        "exact": not wrong,
        "wrong": len(wrong),
        "reference": "Pillow " + environment()["pillow"],
        "libraries": {library.name: library.version for library in libraries},
        "not_installed": absent,
        "environment": environment(),
        "sizes": [list(size) for size in sizes],
        "rows": rows,
    }
    if output is not None:
        write_json(output / "result.json", result)
    return result


def _row(
    library: Library, case: Case, size: tuple[int, int], pictures: list[dict[str, Tensor]], expected: list[list[Tensor]]
) -> dict[str, Any] | None:
    """The worst difference of one library in one cell of the table; None where it has no such operation."""
    try:
        function = library.function(case)
    except Exception as error:
        worst: Difference | None = _refusal(error, "any")
    else:
        if function is None:
            return None
        worst = _worst(function, case, pictures, expected)
    assert worst is not None
    return {
        "library": library.name, "own": library.own, "operation": case.operation, "options": dict(case.options),
        "title": case.title, "strength": case.strength, "size": list(size), "verdict": worst.verdict, "allowed": case.allowed,
        "share": worst.share, "largest": worst.largest, "input": worst.input, "reason": worst.reason,
    }  # fmt: skip


def _worst(function: Function, case: Case, pictures: list[dict[str, Tensor]], expected: list[list[Tensor]]) -> Difference:
    found = []
    for group, wanted in zip(pictures, expected, strict=True):
        images = torch.stack(list(group.values()))
        suffix = f", {images.shape[1]} channel{'s' if images.shape[1] > 1 else ''}"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                results = function(images)
        except InputError:
            raise
        except Exception as error:
            found.append(_refusal(error, "any" + suffix))
            continue
        found += [difference(r, w, case.moves, n + suffix) for n, r, w in zip(group, results, wanted, strict=True)]
    return max(found, key=lambda d: d.order)


def _refusal(error: Exception, where: str) -> Difference:
    return Difference("refuses", 1.0, 0, where, " ".join(f"{type(error).__name__}: {error}".split())[:200])
