"""`augury bench`."""

import argparse
import json

from augury.cli.shared import add_json, add_setting, command_line, named_path

HELP = "measure images per second, optionally against other libraries in the same run"


def add(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    add_setting(parser, "device", default="auto")
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=False, help="measure other libraries too")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes: small batches, a few rounds")
    parser.add_argument(
        "--compile", action="store_true", help="on a GPU, also measure the code compiled by torch.compile, in a CUDA graph"
    )
    parser.add_argument("--output", type=named_path, metavar="DIR", help="folder for result.json")
    add_json(parser)


def run(options: argparse.Namespace) -> None:
    """Run the job and print its result."""
    from augury.jobs.bench import bench
    from augury.jobs.tables import throughput_table

    result = bench(
        options.output, device=options.device, with_peers=options.peers, quick=options.quick, compiled=options.compile,
        command=command_line(),
    )  # fmt: skip
    print(json.dumps(result, indent=1)) if options.json else throughput_table(result)
