"""`augury theory`."""

import argparse
import json

from augury.cli.shared import DATA, add_output, config_of, whole

HELP = "check the papers' arguments by small experiments"


def add(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.add_argument("data", metavar="DATA", nargs="?", help=f"{DATA} (digits)")
    parser.add_argument("--what", metavar="E", help="experiments of `augury list` with their options, parted by commas (all)")
    parser.add_argument("--data-dir", metavar="D", help="where a named data set already is")
    parser.add_argument("--seed", metavar="N", help="of everything drawn (0)")
    add_output(parser)


def run(options: argparse.Namespace) -> None:
    """Call the job and print what it found."""
    from augury.jobs.tables import theory_tables
    from augury.jobs.theory import ALL, theory

    known = ["data", "data_dir", "what", "seed"]
    values = config_of(options.config, known)
    given = {key: getattr(options, key) if getattr(options, key) is not None else values.get(key) for key in known}
    seed = 0 if given["seed"] is None else whole(given["seed"], "--seed", 0)
    result, found = theory(
        options.output, data=str(given["data"] or "digits"), data_dir=given["data_dir"], what=str(given["what"] or ALL), seed=seed,
        overwrite=options.overwrite, quiet=options.quiet,
    )  # fmt: skip
    if options.json:
        print(json.dumps(result, indent=1))
        return
    theory_tables(result, found)
    print(f"report: {options.output / 'report.html'}")
