"""`augury patch`."""

import argparse
import json

from augury.cli.shared import add_flags, add_settings, number, print_notes, settings_of

HELP = "find the subgroup a model fails on, learn to translate between subgroups, retrain, compare"
DEFAULTS = {"select": "worst_group", "lr": 0.03}
HELPS = {
    "--lr": "highest learning rate of SGD with Nesterov momentum (0.03: consistency may diverge at 0.1)",
    "--select": "the network of which epoch is kept: last, validation or worst_group, by the validation part (worst_group)",
}
FLAGS = (
    ("--seeds", "N", "trainings per strategy (8)"),
    ("--from-run", "RUN", "a finished run whose network is to be patched (the first strategy's)"),
    ("--translate", "SCOPE", "class: a CycleGAN for each class; all: one for all classes (class)"),
    ("--translate-steps", "N", "steps of each CycleGAN (1000)"),
    ("--translate-batch-size", "N", "images of either subgroup per step (16)"),
    ("--translate-lr", "RATE", "Adam's rate for the generators (2e-4)"),
    ("--translate-lr-discriminator", "RATE", "and for the discriminators (2e-4)"),
    ("--translate-augment", "A", "augmentation of the images that translations are learned from (none)"),
)


def add(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    strategy = (
        "rows, parted by commas: a strategy, and after + balanced, true, with(lr=...) or tuned(weight_decay=[...]) "
        "(erm,erm+balanced,group_dro(adjustment=1),clamp(adjustment=1))"
    )
    add_settings(parser, "augmentation of the trainings (none)", strategy, HELPS)
    add_flags(parser, FLAGS)
    parser.add_argument("--stage", metavar="NAME", help="find, translate, retrain or report: this one alone (all four)")


def run(options: argparse.Namespace) -> None:
    """Call the job and print what it found."""
    from augury.jobs.patch.patch import patch
    from augury.jobs.patch.rows import DEFAULT
    from augury.jobs.patch.settings import PatchSettings
    from augury.jobs.tables import found_table, patch_table

    names = tuple(PatchSettings.__dataclass_fields__)
    settings, extra = settings_of(
        options, several=True, also=names, defaults={"strategy": DEFAULT, **DEFAULTS}
    )  # fmt: skip
    given = {key: number(v) if isinstance(v, str) else v for key, v in extra.items() if v is not None}
    result = patch(
        settings, PatchSettings.of(given, "--flags"), options.output, stage=options.stage, resume=options.resume,
        overwrite=options.overwrite, quiet=options.quiet,
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
