"""`augury train`."""

import argparse
import json

from augury.cli.shared import add_consent, add_settings, consent, headed, named_path, print_accuracies, print_notes, settings_of

HELP = "train one network with one augmentation"


def add(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    add_settings(parser)
    add_consent(parser)
    headed(parser, "Refinement").add_argument(
        "--refine-from",
        type=named_path,
        metavar="RUN",
        help="take stage one over from this run, whose settings may differ in those of the refinement alone",
    )


def run(options: argparse.Namespace) -> None:
    """Run the job and print its result."""
    from augury.jobs.tables import cost_line
    from augury.jobs.train import train

    settings, _ = settings_of(options, several=False)
    result = train(
        settings, options.output, resume=options.resume, overwrite=options.overwrite, quiet=options.quiet, before=consent(options),
        refine_from=options.refine_from,
    )  # fmt: skip
    if result is None:  # only the first of several processes reports
        return
    if options.json:
        print(json.dumps(result, indent=1))
        return
    print_notes(result)
    print_accuracies(result, "test accuracy")
    print(f"cost: {cost_line(result['counts'], result['seconds'])}")
    print(f"report: {options.output / 'report.html'}")
