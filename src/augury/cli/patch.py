"""`augury patch`."""

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
    workers_of,
)
from augury.jobs.patch.settings import DEFAULT_ROWS, STAGES, PatchSettings

HELP = "repair a model that fails on a subgroup: find it, translate between subgroups, retrain, compare"
DEFAULTS = {"select": "worst_group", "lr": 0.03}


def add(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    texts = {
        "augment": "augmentation of the trainings",
        "strategy": "rows separated by commas: a strategy, optionally with +balanced, +true, +with(lr=...,weight_decay=...) or "
        "+tuned(weight_decay=[...])",
        "lr": "highest learning rate; training with consistency may diverge at 0.1",
    }
    group = parser.add_argument_group("Patching")
    group.add_argument("--stage", metavar="|".join(STAGES), help="run this stage alone (default: all four)")
    add_flags(parser, PatchSettings)
    add_workers(parser)
    add_settings(parser, {"strategy": DEFAULT_ROWS, **DEFAULTS}, texts)
    add_consent(parser)


def run(options: argparse.Namespace) -> None:
    """Run the job and print its result."""
    from augury.jobs.patch.patch import patch
    from augury.jobs.tables import found_table, patch_table

    names = tuple(PatchSettings.__dataclass_fields__)
    settings, extra = settings_of(
        options, several=True, also=names, defaults={"strategy": DEFAULT_ROWS, **DEFAULTS}
    )  # fmt: skip
    given = flag_values(PatchSettings, extra)
    result = patch(
        settings, PatchSettings.of(given, "--flags"), options.output, stage=options.stage, resume=options.resume,
        overwrite=options.overwrite, quiet=options.quiet, workers=workers_of(options), before=consent(options),
    )  # fmt: skip
    if options.json:
        print(json.dumps(result, indent=1))
        return
    print_notes(result)
    if "rows" in result:
        found_table(result["before"])
        patch_table(result)
        print(f"report: {options.output / 'report.html'}")
    elif "groups" in result:
        found_table(result)
    else:
        for pair in result.get("pairs", ()):
            print(f"{pair['title']}: {options.output / pair['sheet']}")
        for folder in result.get("trainings", ()):
            print(folder)
