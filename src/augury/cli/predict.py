"""`augury predict`."""

import argparse
import io
import sys

from augury.cli.shared import add_setting, named_path, parse_int, print_notes
from augury.core.errors import InputError
from augury.core.text import inner

HELP = "predict the classes of images without labels, as CSV"


def add(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.add_argument("run_folder", metavar="RUN", type=named_path, help="the --output folder of `augury train`")
    parser.add_argument("images", metavar="IMAGES", nargs="+", type=named_path, help="image files or folders of them")
    parser.add_argument("--output", type=named_path, metavar="FILE", help="a .csv file (default: standard output)")
    parser.add_argument("--every-class", action="store_true", help="a column with the probability of every class")
    parser.add_argument("--network", default=1, metavar="N", help="which network, if the run has several (default: 1)")
    add_setting(parser, "device", default="auto")
    parser.add_argument("--overwrite", action="store_true", help="replace the file")


def run(options: argparse.Namespace) -> None:
    """Call the job; the table goes to the file or to standard output."""
    from augury.jobs.predict import predict
    from augury.train.engine.checkpoint import write_atomically

    number, output = parse_int(options.network, "--network"), options.output
    if output is not None and output.exists() and not options.overwrite:
        raise InputError(f"--output {output}: exists; add --overwrite to replace it")
    if output is not None and not output.parent.is_dir():
        raise InputError(f"--output {output}: the folder {output.parent} does not exist")
    # A file gets names as they are; a terminal does not.
    shown = sys.stdout if sys.stdout.isatty() else inner(sys.stdout)
    table = shown if output is None else io.StringIO()
    notes = predict(
        options.run_folder, options.images, table, network=number, every_class=options.every_class, device=options.device
    )  # fmt: skip
    if isinstance(table, io.StringIO):
        write_atomically(output, table.getvalue().encode("utf-8", "surrogateescape"))
        print(output)
    print_notes({"notes": notes})
