"""`augury evaluate`."""

import argparse
import json

from augury.cli.shared import add_json, add_setting, named_path, print_accuracies, print_notes

HELP = "evaluate a finished run's network on a test part"


def add(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.add_argument("run_folder", metavar="RUN", type=named_path, help="the --output folder of `augury train`")
    parser.add_argument(
        "--data",
        metavar="DATA",
        help="evaluate on other data: a data set's test part, or labelled images in class folders or a manifest",
    )
    add_setting(parser, "data_dir")
    add_setting(parser, "cache", default=None)
    add_setting(parser, "device", default="auto")
    add_json(parser)


def run(options: argparse.Namespace) -> None:
    """Run the job and print its result."""
    from augury.jobs.evaluate import evaluate
    from augury.jobs.tables import cost_line

    result = evaluate(options.run_folder, data=options.data, data_dir=options.data_dir, device=options.device, cache=options.cache)
    if options.json:
        print(json.dumps(result, indent=1))
        return
    print_notes(result)
    print_accuracies(result, f"{result['data']}, {result['images']} test images: accuracy")
    print(f"its training cost: {cost_line(result['counts'])}")
