"""`augury verify`."""

import argparse
import json

from augury.cli.shared import add_json, command_line, named_path
from augury.core.errors import RunError

HELP = "check operations against Pillow, and policies against the libraries they come from"


def add(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.add_argument("--output", type=named_path, metavar="DIR", help="folder for result.json")
    parser.add_argument(
        "--peers", action=argparse.BooleanOptionalAction, default=True, help="compare other installed libraries too"
    )
    add_json(parser)


def run(options: argparse.Namespace) -> None:
    """Run the job and print its result."""
    from augury.jobs.tables import fidelity_table
    from augury.jobs.verify import verify

    result = verify(options.output, with_peers=options.peers, command=command_line())
    print(json.dumps(result, indent=1)) if options.json else fidelity_table(result)
    if not result["exact"]:
        raise RunError(f"{result['wrong']} of Augury's rows differ from {result['reference']} by more than promised")
