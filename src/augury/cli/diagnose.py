"""`augury diagnose`."""

import argparse
import json
from pathlib import Path
from typing import Any

from augury.cli.shared import add_output, add_setting, config_of, print_notes
from augury.core.errors import InputError

HELP = "measure what trained networks do, and compare them"


def add(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.add_argument("runs", metavar="RUN", nargs="*", help="--output folders of `augury train` or `augury compare`")
    parser.add_argument(
        "--what", metavar="A,B,...", help="measurements of `augury list` with their options, separated by commas (default: all)"
    )
    parser.add_argument("--train", action="store_true", help="let measurements train networks of their own (affinity_diversity)")
    parser.add_argument("--data", metavar="DATA", help="measure on other data with the same classes")
    add_setting(parser, "data_dir")
    add_setting(parser, "device", default="auto")
    add_output(parser)


def run(options: argparse.Namespace) -> None:
    """Run the job and print its result."""
    from augury.jobs.diagnose import ALL, diagnose
    from augury.jobs.tables import measurement_tables

    values = config_of(options.config, ["runs", "what", "train", "data", "data_dir"])
    runs = options.runs or values.get("runs")
    if not runs or not isinstance(runs, list):
        raise InputError("RUN: name at least one run, the --output folder of `augury train` or `augury compare`")
    named: dict[str, Any] = {key: getattr(options, key) or values.get(key) for key in ("what", "data", "data_dir")}
    named["what"] = str(named["what"] or ALL)
    result, found = diagnose(
        [Path(run) for run in runs], options.output, **named, train=options.train or bool(values.get("train")),
        device=options.device, overwrite=options.overwrite, quiet=options.quiet,
    )  # fmt: skip
    if options.json:
        print(json.dumps(result, indent=1))
        return
    print_notes(result)
    measurement_tables(found)
    print(f"report: {options.output / 'report.html'}")
