"""`augury theory`."""

import argparse
import json

from augury.cli.shared import DATA, add_output, add_setting, config_of, parse_int

HELP = "check the papers' arguments in small experiments"


def add(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.add_argument("data", metavar="DATA", nargs="?", help=f"{DATA} (default: digits)")
    parser.add_argument(
        "--what", metavar="A,B,...", help="experiments of `augury list` with their options, separated by commas (default: all)"
    )
    add_setting(parser, "data_dir")
    parser.add_argument("--seed", metavar="N", help="random seed (default: 0)")
    add_output(parser)


def run(options: argparse.Namespace) -> None:
    """Run the job and print its result."""
    from augury.jobs.tables import theory_tables
    from augury.jobs.theory import ALL, theory

    known = ["data", "data_dir", "what", "seed"]
    values = config_of(options.config, known)
    given = {key: getattr(options, key) if getattr(options, key) is not None else values.get(key) for key in known}
    seed = 0 if given["seed"] is None else parse_int(given["seed"], "--seed", 0)
    result, found = theory(
        options.output, data=str(given["data"] or "digits"), data_dir=given["data_dir"], what=str(given["what"] or ALL), seed=seed,
        overwrite=options.overwrite, quiet=options.quiet,
    )  # fmt: skip
    if options.json:
        print(json.dumps(result, indent=1))
        return
    theory_tables(result, found)
    print(f"report: {options.output / 'report.html'}")
