"""`augury search`."""

import argparse
import json

from augury.cli.shared import add_flags, add_settings, listed, number, print_notes, settings_of, whole

HELP = "find a policy on your own images, with random search at equal budget beside it"
FLAGS = (
    ("--method", "NAME", "tanda, autoaugment or randaugment"),
    ("--budget", "N", "child trainings, 40, or a time, 20m, for the method; random search trains as many children (40)"),
    ("--seeds", "N", "trainings of each winner at the end (5)"),
    ("--final-epochs", "N", "epochs of the trainings at the end (60)"),
    ("--proxy", "N", "training images that children see, at most (4000)"),
    ("--child-model", "M", "the children's network (that of --model)"),
    ("--controls", "A,B", "augmentations trained at the end beside the two winners (trivialaugment)"),
    ("--functions", "F,G", "tanda: operations with fixed values, or a published list, mnist or cifar10 (by the images)"),
    ("--length", "N", "tanda: functions per image (10)"),
    ("--generator", "KIND", "tanda: lstm, gru or mean_field (lstm)"),
    ("--generator-steps", "N", "tanda: steps of a generator's training, where --budget counts children (500)"),
    ("--generator-lr", "RATE", "tanda: the generator's learning rate (1e-3)"),
    ("--discriminator-lr", "RATE", "tanda: the discriminator's learning rate (a grid of the released ones, 5e-6 to 5e-5)"),
    ("--operations", "A,B", "autoaugment, randaugment: what policies choose from (the published ones)"),
    ("--rule", "NAME", "autoaugment: how the controller learns, ppo or reinforce (ppo)"),
    ("--controller-lr", "RATE", "autoaugment: the controller's learning rate (0.01; 3.5e-4 from 1000 children on)"),
    (
        "--round-size",
        "N",
        "autoaugment: children that the controller learns from at a time; no fewer than --workers (8)",
    ),
    ("--refine-shares", "F,G", "randaugment: shares of the epochs at the end to be tried without the policy, such as 0,0.2 (0)"),
    ("--sampler", "NAME", "randaugment: grid, or tpe by Optuna with pruning (grid)"),
)


def add(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    add_flags(parser, FLAGS)
    add_settings(parser, "what goes before the searched policy, such as crop+flip (none)", "strategy of all trainings (erm)")
    parser.add_argument("--workers", metavar="N", default=1, help="children trained at a time, in processes (1)")
    parser.add_argument("--ray", metavar="ADDRESS", help="train children on a Ray cluster: local, auto or an address")
    parser.add_argument("--storage", metavar="S", help="tpe: Optuna's storage, a file or a URL that several searches share")


def run(options: argparse.Namespace) -> None:
    """Call the job and print what it found."""
    from dataclasses import fields

    from augury.jobs.search.search import How, search
    from augury.jobs.search.settings import CHILD_EPOCHS, SearchSettings
    from augury.jobs.tables import search_table

    names = [part.name for part in fields(SearchSettings)]
    settings, extra = settings_of(options, several=False, also=names, defaults={"epochs": CHILD_EPOCHS})
    shares = extra.get("refine_shares")
    extra["refine_shares"] = listed(shares) if isinstance(shares, str) else shares
    chosen = SearchSettings.of({k: number(v) if isinstance(v, str) else v for k, v in extra.items() if v is not None}, "--flags")
    how = How(whole(options.workers, "--workers", high=1000), options.ray, options.storage)
    result = search(settings, chosen, options.output, how, resume=options.resume, overwrite=options.overwrite, quiet=options.quiet)
    if options.json:
        print(json.dumps(result, indent=1))
        return
    print_notes(result)
    search_table(result)
    print(f"policy: {options.output / result['policy']}\nreport: {options.output / 'report.html'}")
