"""`augury export`."""

import argparse
import json

from augury.cli.shared import add_json, named_path, parse_int

HELP = "export a finished run's weights as a detector's backbone"


def add(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.add_argument("run_folder", metavar="RUN", type=named_path, help="the --output folder of `augury train`")
    parser.add_argument(
        "--output", required=True, type=named_path, metavar="DIR", help="folder for backbone.safetensors and export.json"
    )
    parser.add_argument("--network", default=1, metavar="N", help="which network, if the run has several (default: 1)")
    parser.add_argument("--overwrite", action="store_true", help="replace the export in --output")
    add_json(parser)


def run(options: argparse.Namespace) -> None:
    """Run the job and print its result."""
    from augury.jobs.export import export

    number = parse_int(options.network, "--network")
    card = export(options.run_folder, options.output, network=number, overwrite=options.overwrite)
    if options.json:
        print(json.dumps(card.dict(), indent=1))
        return
    stages = ", ".join(f"{name} ({width})" for name, width in zip(card.layers, card.widths, strict=True))
    print(f"{card.model}: stages {stages}")
    print(options.output / "backbone.safetensors")
