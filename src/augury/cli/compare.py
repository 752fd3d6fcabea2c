"""`augury compare`."""

import argparse
import json

from augury.cli.shared import add_settings, print_notes, settings_of, whole

HELP = "compare augmentations on the same data at equal budget"


def add(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    add_settings(parser, "augmentations, parted by commas; the first is the reference", "strategies, parted by commas (erm)")
    parser.add_argument("--seeds", metavar="N", default=argparse.SUPPRESS, help="trainings per row (3)")
    parser.add_argument("--parallel-seeds", action="store_true", help="train a row's seeds side by side; faster on a GPU")


def run(options: argparse.Namespace) -> None:
    """Call the job and print what it found."""
    from augury.jobs.compare import compare
    from augury.jobs.tables import comparison_table

    settings, extra = settings_of(options, several=True)
    seeds = whole(3 if extra["seeds"] is None else extra["seeds"], "--seeds", high=1000)
    result = compare(
        settings,
        seeds,
        options.output,
        resume=options.resume,
        overwrite=options.overwrite,
        quiet=options.quiet,
        parallel_seeds=options.parallel_seeds,
    )
    if options.json:
        print(json.dumps(result, indent=1))
        return
    print_notes(result)
    comparison_table(result)
    print(f"report: {options.output / 'report.html'}")
