"""`augury compare`."""

import argparse
import json

from augury.cli.shared import add_consent, add_settings, add_workers, consent, parse_int, print_notes, settings_of, workers_of

HELP = "compare augmentations and strategies on the same data at equal budget"
SEEDS = 3


def add(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    texts = {
        "augment": "augmentations separated by commas; the first is the reference",
        "strategy": "strategies separated by commas",
    }
    group = parser.add_argument_group("Comparison")
    group.add_argument("--seeds", metavar="N", default=argparse.SUPPRESS, help=f"trainings per row (default: {SEEDS})")
    group.add_argument("--parallel-seeds", action="store_true", help="train a row's seeds at the same time; faster on a GPU")
    add_workers(parser)
    add_settings(parser, texts=texts)
    add_consent(parser)


def run(options: argparse.Namespace) -> None:
    """Run the job and print its result."""
    from augury.jobs.compare import compare
    from augury.jobs.tables import comparison_table

    settings, extra = settings_of(options, several=True)
    seeds = parse_int(SEEDS if extra["seeds"] is None else extra["seeds"], "--seeds", high=1000)
    result = compare(
        settings,
        seeds,
        options.output,
        resume=options.resume,
        overwrite=options.overwrite,
        quiet=options.quiet,
        parallel_seeds=options.parallel_seeds,
        workers=workers_of(options),
        before=consent(options),
    )
    if options.json:
        print(json.dumps(result, indent=1))
        return
    print_notes(result)
    comparison_table(result)
    print(f"report: {options.output / 'report.html'}")
