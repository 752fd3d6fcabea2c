"""`augury search`."""

import argparse
import json

from augury.cli.shared import (
    add_consent,
    add_flags,
    add_settings,
    add_workers,
    consent,
    flag_values,
    print_notes,
    settings_of,
    split_list,
    workers_of,
)
from augury.jobs.search.settings import CHILD_EPOCHS, SearchSettings

HELP = "search for a policy on your own images, compared with random search at equal budget"


def add(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    texts = {
        "augment": "augmentation before the searched policy, such as crop+flip",
        "strategy": "strategy of all trainings",
        "epochs": "epochs of each child",
    }
    add_flags(parser, SearchSettings)
    add_workers(parser)
    group = parser.add_argument_group("Running the search")
    group.add_argument(
        "--storage", metavar="STORAGE", help="for tpe, Optuna's storage: a file or URL that several searches can share"
    )
    add_settings(parser, {"epochs": CHILD_EPOCHS}, texts)
    add_consent(parser)


def run(options: argparse.Namespace) -> None:
    """Run the job and print its result."""
    from dataclasses import fields

    from augury.jobs.search.search import SearchOptions, search
    from augury.jobs.tables import search_table

    names = [part.name for part in fields(SearchSettings)]
    settings, extra = settings_of(options, several=False, also=names, defaults={"epochs": CHILD_EPOCHS})
    shares = extra.get("refine_shares")
    extra["refine_shares"] = split_list(shares) if isinstance(shares, str) else shares
    chosen = SearchSettings.of(flag_values(SearchSettings, extra), "--flags")
    how = SearchOptions(workers_of(options), options.storage)
    result = search(
        settings,
        chosen,
        options.output,
        how,
        resume=options.resume,
        overwrite=options.overwrite,
        quiet=options.quiet,
        before=consent(options),
    )
    if options.json:
        print(json.dumps(result, indent=1))
        return
    print_notes(result)
    search_table(result)
    print(f"policy: {options.output / result['policy']}\nreport: {options.output / 'report.html'}")
