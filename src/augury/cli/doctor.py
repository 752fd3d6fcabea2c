"""`augury doctor`."""

import argparse
import json

from augury.cli.shared import add_json
from augury.core.errors import RunError

HELP = "try what works on this machine, and say what to do about what does not"


def add(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.add_argument("--quick", action="store_true", help="try chains alone, and not every operation")
    add_json(parser)


def run(options: argparse.Namespace) -> None:
    """Run the checks and print them; a failed one makes the command fail."""
    from augury.jobs.doctor import doctor
    from augury.jobs.tables import doctor_table

    result = doctor(quick=options.quick)
    print(json.dumps(result, indent=1)) if options.json else doctor_table(result)
    if not result["ok"]:
        failed = [check["name"] for check in result["checks"] if check["state"] == "failed"]
        raise RunError(f"{len(failed)} of {len(result['checks'])} checks failed: {', '.join(failed)}")
