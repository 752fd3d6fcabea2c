"""`augury theory`: the papers' arguments as experiments, each with its claims, what was measured, and whether they hold."""

import time
from pathlib import Path
from typing import Any

from augury.core import registry
from augury.core.options import Spec
from augury.explain.pages.theory import theory_page
from augury.explain.theory.claim import Checked, Pictures
from augury.jobs.environment import environment
from augury.jobs.named import named
from augury.jobs.progress import bar
from augury.train.data.dataset import load
from augury.train.engine.checkpoint import write_atomically
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.setup import one_class_only

ALL = "all"


def theory(
    output: Path, *, data: str = "digits", data_dir: str | None = None, what: str = ALL, seed: int = 0, overwrite: bool = False,
    quiet: bool = False,
) -> tuple[dict[str, Any], dict[str, Checked]]:  # fmt: skip
    """Run the experiments and write config.yaml, result.json and report.html into `output`; returns result.json's content and
    the findings.

    what: experiments with their options, separated by commas. seed: for experiments without a seed of their own.
    Raises InputError, before anything is written, for unknown experiments and options and for missing data.
    """
    specs = _specs(what, seed)
    dataset = load(data, data_dir=data_dir)
    one_class_only(dataset, "theory")
    pictures = Pictures.of(dataset)
    config = {"data": data, "data_dir": data_dir, "what": what, "seed": seed}
    directory = RunDirectory.open(output, config, overwrite=overwrite)
    found, seconds = _run(specs, pictures, quiet)
    claims = [claim for checked in found.values() for claim in checked.claims]
    result = {
        "version": 1,
        "data": data,
        "seed": seed,
        "claims": len(claims),
        "holding": sum(claim.holds for claim in claims),
        "experiments": {
            name: {"summary": checked.summary, "seconds": seconds[name], "claims": [vars(claim) for claim in checked.claims]}
            for name, checked in found.items()
        },
        "environment": environment(),
    }
    write_atomically(output / "report.html", _page(result, found).encode())
    directory.finish(result)
    return result, found


def _specs(what: str, seed: int) -> dict[str, tuple[Spec, dict[str, Any]]]:
    found = named("theory", "experiment", ",".join(registry.names("theory")) if what == ALL else what)
    return {name: (spec, {"seed": seed, **options}) for name, (spec, options) in found.items()}


def _run(
    specs: dict[str, tuple[Spec, dict[str, Any]]], pictures: Pictures, quiet: bool
) -> tuple[dict[str, Checked], dict[str, dict[str, float]]]:
    found, seconds = {}, {}
    with bar(len(specs), quiet, "experiments") as progress:
        for name, (spec, options) in specs.items():
            progress.label(name)
            wall, processor = time.perf_counter(), time.process_time()
            found[name] = registry.get("theory", spec.name)(pictures, **options)
            seconds[name] = {"wall": time.perf_counter() - wall, "processor": time.process_time() - processor}
            progress.advance()
    return found, seconds


def _page(result: dict[str, Any], found: dict[str, Checked]) -> str:
    where = result["environment"]
    seconds = ", ".join(f"{name} {e['seconds']['processor']:.0f}" for name, e in result["experiments"].items())
    return theory_page(
        found,
        summary=f"{result['holding']} of {result['claims']} claims hold on {result['data']}. Tolerances are fixed in the "
        "program and not fitted to the measurements; claims that do not hold are reported as such.",
        settings={
            "data": result["data"],
            "seed": str(result["seed"]),
            "hardware": where["device"],
            "processor seconds": seconds,
            "versions": ", ".join(f"{name} {where[name]}" for name in ("augury", "torch")),
        },
        notes=[],
    )
