"""`augury reproduce`."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from augury.cli.shared import (
    add_consent,
    add_json,
    add_setting,
    add_workers,
    command_line,
    consent,
    named_path,
    number,
    parse_int,
    workers_of,
)
from augury.core.errors import InputError
from augury.core.flags import flags_of
from augury.train.engine.settings import Settings

if TYPE_CHECKING:
    from augury.recipes.scales import Scale

HELP = "reproduce a table or figure of a paper, and compare with its published numbers"
CHANGES = ("model", "epochs", "batch_size", "fraction", "lr")


def add(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.add_argument("recipe", metavar="RECIPE", nargs="?", help="a recipe of `augury reproduce --list`")
    parser.add_argument(
        "--list", action="store_true", help="list the recipes, what they need and what has been measured; with RECIPE, its rows"
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="train nothing: build every row on stand-in data, and report which rows would be refused",
    )
    parser.add_argument("--rows", metavar="A,B", help="run these rows only; * matches anything")
    parser.add_argument(
        "--scale",
        metavar="smoke|short|full",
        help="smoke: one epoch on digits (default: full, or short with a replaced setting)",
    )
    parser.add_argument(
        "--seeds", metavar="N", help="trainings per row (default: the paper's number; at most 3 at short, 1 at smoke)"
    )
    parser.add_argument(
        "--first-seed", metavar="N", help="the first of these seeds (default: the recipe's, mostly 0); for seeds that others lack"
    )
    group = parser.add_argument_group("Replacing the recipe's settings, at short scale")
    for flag in flags_of(Settings):
        if flag.name in CHANGES:
            group.add_argument(flag.option, metavar=flag.value, default=argparse.SUPPRESS, help=flag.text)
    add_setting(parser, "data_dir")
    add_setting(parser, "device", default="auto")
    add_setting(parser, "precision", default="auto")
    add_workers(parser)
    parser.add_argument("--parallel-seeds", action="store_true", help="train the seeds of a row at the same time, in this process")
    parser.add_argument("--output", type=named_path, metavar="DIR", help="folder for the results")
    parser.add_argument("--resume", action="store_true", help="resume what is in --output; rows and seeds may be added")
    parser.add_argument("--overwrite", action="store_true", help="replace what is in --output")
    parser.add_argument("--quiet", action="store_true", help="show no progress bar")
    parser.add_argument(
        "--results", type=named_path, metavar="DIR", default=Path("results"), help="folder of measurements (default: results)"
    )
    parser.add_argument("--page", type=named_path, metavar="FILE", help="write only the page of all measurements in --results")
    add_json(parser)
    add_consent(parser)


def run(options: argparse.Namespace) -> None:
    """Run the job and print its result."""
    if options.page is not None:
        _write_page(options)
    elif options.list:
        _list(options)
    elif options.recipe is None:
        raise InputError("RECIPE: name one of `augury reproduce --list`")
    elif options.dry_run:
        _dry_run(options)
    elif options.output is None and _known(options.recipe):
        raise InputError("--output: name a folder for the results, for example --output runs/reproduced")
    else:
        _reproduce(options)


def _known(recipe: str) -> bool:
    """True, or InputError for an unknown recipe, so that it is reported before a missing --output."""
    from augury.recipes import load

    return bool(load(recipe))


def _write_page(options: argparse.Namespace) -> None:
    from augury.jobs.reproduce.own_table import PICTURE, picture
    from augury.jobs.reproduce.page import results_in, results_page

    if not options.results.is_dir():
        raise InputError(f"--results {options.results}: no such folder")
    text, drawn = results_page(options.results), picture(results_in(options.results).values())
    place = options.page.parent / PICTURE
    try:
        options.page.write_text(text, encoding="utf-8")
        if drawn is not None:
            place.parent.mkdir(exist_ok=True)
            place.write_text(drawn, encoding="utf-8")
    except OSError as error:
        raise InputError(f"--page {options.page}: cannot be written ({error.strerror})") from None
    print(options.page)


def _list(options: argparse.Namespace) -> None:
    from augury.jobs.reproduce.dry_run import DryRun
    from augury.jobs.reproduce.page import overview, overview_table, results_in
    from augury.recipes import load

    if options.recipe is None:
        rows = overview(results_in(options.results))
        print(json.dumps(rows, indent=1)) if options.json else overview_table(rows)
        return
    recipe = load(options.recipe)
    listed = recipe.select(options.rows)
    refused = DryRun().refused(recipe, listed, _scale(options))
    if options.json:
        keys = ("id", "published", "spread", "unavailable", "settings")
        print(json.dumps([{key: getattr(row, key) for key in keys} | {"refused": refused.get(row.id)} for row in listed], indent=1))
        return
    wide = max(len(row.id) for row in listed)
    print(f"{recipe.title} ({recipe.source})")
    for row in listed:
        published = "-" if row.published is None else f"{row.published:g}"
        shown = " ".join(
            str(row.settings[key]) for key in ("data", "model", "augment", "augment2", "strategy") if key in row.settings
        )
        mark = f"not run: {row.unavailable}" if row.unavailable else f"REFUSED: {refused[row.id]}" if row.id in refused else shown
        print(f"{row.id:<{wide}}  {published:>7}  {mark}")
    for note in recipe.notes:
        print(f"note: {note}")


def _dry_run(options: argparse.Namespace) -> None:
    from augury.jobs.reproduce.dry_run import DryRun
    from augury.recipes import load

    recipe, scale = load(options.recipe), _scale(options)
    rows = recipe.select(options.rows)
    refused = DryRun().refused(recipe, rows, scale, _changed(options) if scale == "short" else None)
    if options.json:
        report = [{"id": row.id, "unavailable": row.unavailable, "refused": refused.get(row.id)} for row in rows]
        print(json.dumps(report, indent=1))
        return
    for row in rows:
        if row.unavailable:
            print(f"{row.id}: not run: {row.unavailable}")
        elif row.id in refused:
            print(f"{row.id}: REFUSED: {refused[row.id]}")
    able = sum(row.unavailable is None and row.id not in refused for row in rows)
    print(f"{able} of {len(rows)} rows can be trained at {scale} scale, given their data; {len(refused)} would be refused")


def _scale(options: argparse.Namespace) -> "Scale":
    """The scale asked for; by default full, or short where a flag replaces one of the recipe's settings."""
    from augury.recipes.scales import scale_named

    return scale_named(options.scale or ("short" if _changed(options) else "full"))


def _changed(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that --model, --epochs and so on replace."""
    return {key: number(getattr(options, key)) for key in CHANGES if hasattr(options, key)}


def _reproduce(options: argparse.Namespace) -> None:
    from augury.jobs.reproduce.page import result_table
    from augury.jobs.reproduce.reproduce import Request, reproduce
    from augury.jobs.reproduce.runs import RunContext

    changed = _changed(options)
    seeds = None if options.seeds is None else parse_int(options.seeds, "--seeds", high=1000)
    first = None if options.first_seed is None else parse_int(options.first_seed, "--first-seed", low=0)
    request = Request(options.recipe, options.rows, _scale(options), seeds, changed, command_line(), first)
    context = RunContext(
        options.output, options.data_dir, options.device, options.precision, options.parallel_seeds, workers_of(options)
    )
    result = reproduce(
        request, context, resume=options.resume, overwrite=options.overwrite, quiet=options.quiet, before=consent(options)
    )
    if options.json:
        print(json.dumps(result, indent=1))
        return
    result_table(result)
    print(f"results: {options.output / 'result.json'}")
