"""`augury reproduce`: a table or a figure of a paper, row by row, compared with the published numbers."""

import hashlib
import statistics
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from augury.core.errors import InputError, RunError
from augury.jobs.environment import environment
from augury.jobs.estimate import Before, announce
from augury.jobs.progress import bar
from augury.jobs.reproduce.plans import Planned, planned
from augury.jobs.reproduce.runs import RunContext, cost_of, figure_of, measured, patch_all, run_planned, works_of
from augury.recipes.needs import incomplete
from augury.recipes.recipe import Recipe, RecipeRow, load
from augury.recipes.scales import Scale, changes, patch_at, settings_at
from augury.train.engine.checkpoint import write_json
from augury.train.engine.networks import predictions_table
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.settings import Settings, checked
from augury.train.engine.setup import pick_device
from augury.train.engine.world import alone

SHORT_SEEDS = 3


@dataclass(frozen=True)
class Request:
    """What to reproduce. rows: patterns of ids. seeds: how many, by default the paper's number at full scale, at most 3 at short
    scale, 1 at smoke scale; counted from `first_seed`, by default the recipe's. overrides: settings that replace a row's at short
    scale."""

    recipe: str
    rows: str | None = None
    scale: Scale = "full"
    seeds: int | None = None
    overrides: dict[str, Any] | None = None
    command: str = ""
    first_seed: int | None = None


def reproduce(
    request: Request,
    context: RunContext,
    *,
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
    before: Before | None = None,
) -> dict[str, Any]:
    """Run the trainings of the rows and write result.json: published, ours, n, spread and within for each row.

    Rows measured earlier in the folder stay in result.json; `resume` may name other rows and more seeds. A row that cannot
    run records the reason. Raises InputError for an unknown recipe or row and for changed settings at full scale, and
    RunError if no row has run, now or earlier.
    """
    alone("reproduce")
    context.workers = context.workers.unless(context.parallel_seeds)
    recipe = load(request.recipe)
    rows = recipe.select(request.rows)
    checked(Settings, request.overrides or {}, "--flags")
    if request.overrides and request.scale != "short":
        named = ", ".join(f"--{key.replace('_', '-')}" for key in request.overrides)
        raise InputError(f"{named}: changes the paper's training; use it with --scale short")
    each = [(row, settings_at(recipe, row, request.scale, request.overrides)) for row in rows]
    seeds = seeds_of(recipe, request)
    pick_device(context.device)
    every = [(row, settings_at(recipe, row, request.scale, request.overrides)) for row in recipe.rows]
    context.plans = planned([pair for pair in every if pair[0].unavailable is None])
    for plan in planned([pair for pair in each if pair[0].unavailable is None]):
        context.settings(plan)
    if recipe.job != "patch":
        works = works_of(planned([pair for pair in each if pair[0].unavailable is None]), seeds, context, resume)
        context.workers = announce(works, before, context.workers)
    config: dict[str, Any] = {"recipe": recipe.name, "scale": request.scale, "changed": request.overrides or {}}
    if request.first_seed is not None:
        config["first_seed"] = request.first_seed  # which all rows of a result.json share
    directory = RunDirectory.open(context.output, config, overwrite=overwrite, resume=resume)
    if overwrite and not resume:
        for file in context.output.glob("runs/*/measure-*.json"):
            file.unlink()
    earlier = {row["id"]: row for row in (directory.result() or {"rows": []})["rows"]}
    found = (
        _patched(recipe, each, seeds, context, request.scale, quiet, before)
        if recipe.job == "patch"
        else _trained(each, seeds, context, quiet)
    )
    made = {row.id: _row(recipe, row, settings, request.scale, found[row.id]) for row, settings in each}
    shown = [row for row in (made.get(row.id) or earlier.get(row.id) for row in recipe.rows) if row is not None]
    if all(row["status"].startswith(("not run", "failed")) for row in shown):
        if all(row["status"].startswith("not run") for row in shown):
            _leave_nothing(directory)
        raise RunError(f"RECIPE {recipe.name}: no row could be run. {'; '.join(reasons(shown))}")
    compare(shown)
    result = {
        "version": 1, "recipe": recipe.name, "title": recipe.title, "source": recipe.source, "scale": request.scale,
        "unit": recipe.unit, "tolerance": recipe.tolerance, "seeds": seeds, "command": request.command,
        "precision": context.precision, "rows": shown,
        "notes": list(recipe.notes), "environment": environment(pick_device(context.device)),
    }  # fmt: skip
    write_json(context.output / "result.json", result)
    return result


def reasons(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The reasons why rows have no number, each with its rows."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row["status"] != "measured":
            found.setdefault(row["status"], []).append(row["id"])
    return [f"{reason}: {', '.join(ids)}" for reason, ids in found.items()]


def _leave_nothing(directory: RunDirectory) -> None:
    """Remove the folder if nothing was done, so that it does not block the next attempt."""
    directory.clear()
    with suppress(OSError):  # it contains other files
        directory.path.rmdir()


def seeds_of(recipe: Recipe, request: Request) -> list[int]:
    """The seeds to train."""
    default = {"full": recipe.seeds, "short": min(SHORT_SEEDS, recipe.seeds), "smoke": 1}[request.scale]
    first = recipe.rows[0].settings.get("seed", 0) if request.first_seed is None else request.first_seed
    return list(range(first, first + (request.seeds or default)))


# A row's numbers, one per seed, with the training's cost; or None with the reason.
Found = tuple[list[float] | None, dict[str, Any] | str]


def _trained(
    each: Sequence[tuple[RecipeRow, dict[str, Any]]], seeds: list[int], context: RunContext, quiet: bool
) -> dict[str, Found]:
    found: dict[str, Found] = {row.id: (None, f"not run: {row.unavailable}") for row, _ in each if row.unavailable}
    plans = planned([(row, settings) for row, settings in each if row.unavailable is None])
    with bar(len(seeds) * sum(plan.epochs for plan in plans), quiet) as progress:

        def read(plan: Planned, came: list[dict[str, Any]] | InputError | RunError) -> None:
            if isinstance(came, list):
                found.update({row.id: _read(plan, row, came, seeds, context) for row in plan.rows})
            else:
                word = "not run" if isinstance(came, InputError) else "failed"
                found.update({row.id: (None, f"{word}: {came}") for row in plan.rows})

        run_planned(plans, seeds, context, progress, read)
    return found


def _read(plan: Planned, row: RecipeRow, results: list[dict[str, Any]], seeds: list[int], context: RunContext) -> Found:
    """A row's number from every result."""
    try:
        sources = results if row.measure is None else measured(plan, row, seeds, context)
    except (InputError, RunError) as error:
        return None, f"failed: {error}"
    values = [figure_of(row, plan.settings, source) for source in sources]
    if any(value is None for value in values):
        return None, f"not measured: a training on {plan.settings['data']} has no {row.figure.split('/')[0]}"
    costs = [cost_of(row, plan.settings, result) for result in results]
    computed = sorted({result.get("precision", context.precision) for result in results})
    cost = {
        "images": results[0]["images"], "counts": costs[0].counts, "precision": " and ".join(computed),
        "seconds_training": round(statistics.mean(cost.training for cost in costs), 3),
        "seconds_device": [cost.device for cost in costs],
        "folders": [plan.folder(context.output, seed).name for seed in seeds],
        "predictions": [_hash(plan.folder(context.output, seed) / predictions_table(0)) for seed in seeds],
    }  # fmt: skip
    return [value for value in values if value is not None], cost


def _hash(predictions: Path) -> str:
    """Of a network's answers on the test part, so that another machine's can be told to be the same or not."""
    return hashlib.sha256(predictions.read_bytes()).hexdigest()[:16]


def _patched(
    recipe: Recipe,
    each: Sequence[tuple[RecipeRow, dict[str, Any]]],
    seeds: list[int],
    context: RunContext,
    scale: Scale,
    quiet: bool,
    before: Before | None,
) -> dict[str, Found]:
    try:
        results = patch_all(each, patch_at(recipe, scale), seeds, context, quiet, before)
    except (InputError, RunError) as error:
        word = "not run" if isinstance(error, InputError) else "failed"
        return {row.id: (None, f"{word}: {error}") for row, _ in each}
    found: dict[str, Found] = {}
    for row, settings in each:
        values = [figure_of(row, settings, one) for one in results[settings["strategy"]]]
        complete = [value for value in values if value is not None]
        missing = f"not measured: {settings['data']} has no {row.figure}"
        found[row.id] = (complete, {}) if len(complete) == len(values) else (None, missing)
    return found


def _row(recipe: Recipe, row: RecipeRow, settings: dict[str, Any], scale: Scale, found: Found) -> dict[str, Any]:
    values, about = found
    made: dict[str, Any] = {
        "id": row.id, "published": row.published, "published_spread": row.spread, "cited": row.cited, "figure": row.figure,
        "reference": row.reference, "note": row.note, "settings": settings, "changed": changes(row.settings, settings),
    }  # fmt: skip
    if values is None or isinstance(about, str):
        return {**made, "status": about, "n": 0, "values": [], "ours": None, "spread": None, "within": None}
    ours = statistics.mean(values)
    lacking = incomplete(settings["data"], about["images"]["training"]) if "images" in about else None
    if lacking is not None:
        made["changed"].append(lacking)
    return {
        **made, "status": "measured", "n": len(values), "values": values, "ours": ours,
        "spread": statistics.stdev(values) if len(values) > 1 else None,
        "within": within(recipe, row, ours) if scale == "full" and lacking is None else None, **about,
    }  # fmt: skip


def within(recipe: Recipe, row: RecipeRow, ours: float) -> bool | None:
    """Whether ours lies within the row's or the recipe's tolerance of the published number, or twice its spread if that is more.

    None if the paper gives no number, or if it depends on the hardware.
    """
    if row.published is None or recipe.tolerance is None or row.figure in ("seconds_per_epoch", "device_hours"):
        return None
    return abs(ours - row.published) <= max(row.tolerance or recipe.tolerance, 2 * (row.spread or 0.0)) + 1e-9


def compare(rows: list[dict[str, Any]]) -> None:
    """Add to every row its difference to its reference, published and ours (paired by seed); a ratio for times."""
    by_id = {row["id"]: row for row in rows}
    for row in rows:
        other = by_id.get(row["reference"])
        ratio = row["figure"] in ("seconds_per_epoch", "device_hours")
        row["ratio"] = ratio
        row["published_difference"] = row["difference"] = None
        if other is None:
            continue
        if row["published"] is not None and other["published"] is not None:
            row["published_difference"] = _between(row["published"], other["published"], ratio)
        pairs = list(zip(row["values"], other["values"], strict=False))
        if pairs:
            row["difference"] = statistics.mean(_between(a, b, ratio) for a, b in pairs)


def _between(value: float, reference: float, ratio: bool) -> float:
    return value / reference if ratio and reference else value - reference
