"""`augury recommend`."""

import argparse
import json

from augury.cli.shared import DATA, add_flags, add_output, add_workers, config_of, flag_values, print_notes, split_list, workers_of
from augury.jobs.recommend.settings import RecommendSettings

HELP = "recommend an augmentation for your own images, within a given time"


def add(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.add_argument("data", metavar="DATA", nargs="?", default=argparse.SUPPRESS, help=DATA)
    add_flags(parser, RecommendSettings)
    group = parser.add_argument_group("Running it")
    group.add_argument("--dry-run", action="store_true", help="look and plan, and train nothing but a probe")
    add_workers(parser)
    output = add_output(parser, "the config.yaml of an earlier recommendation")
    output.add_argument("--resume", action="store_true", help="resume what is in --output; --minutes may be raised")


def run(options: argparse.Namespace) -> None:
    """Call the job and print what it found."""
    from dataclasses import fields

    from augury.core.errors import InputError
    from augury.jobs.recommend.live import shown
    from augury.jobs.recommend.recommend import recommend
    from augury.jobs.tables import recommendation_table

    known = [part.name for part in fields(RecommendSettings)]
    flags = {key: value for key, value in vars(options).items() if key in known}
    if "," in str(flags.get("image_size", "")):
        flags["image_size"] = split_list(flags["image_size"])
    given = {**config_of(options.config, known), **flag_values(RecommendSettings, flags)}
    if "data" not in given:
        raise InputError("DATA: name the data, for example `augury recommend photographs --minutes 10 --output DIR`")
    chosen = RecommendSettings.of(given, "--flags")
    with shown(options.quiet) as show:
        result = recommend(
            chosen, options.output, workers=workers_of(options), resume=options.resume, overwrite=options.overwrite,
            dry_run=options.dry_run, told=show.say, seen=show.race,
        )  # fmt: skip
    if options.json:
        print(json.dumps(result, indent=1))
        return
    if options.dry_run:
        return
    print_notes(result)
    recommendation_table(result)
    print(f"policy: {options.output / 'recommended.yaml'}\nreport: {options.output / 'report.html'}")
