"""`augury preview`."""

import argparse

from augury.cli.shared import DATA, add_setting, image_size, named_path, parse_int, print_notes
from augury.core.errors import InputError

HELP = "show what an augmentation does to your own images"


def add(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.add_argument("data", metavar="DATA", nargs="?", help=DATA)
    parser.add_argument(
        "--augment", metavar="AUGMENTATION", help="augmentations separated by commas (default with --run or --worst: the run's)"
    )
    parser.add_argument(
        "--strategy", metavar="STRATEGY", help="show the policies and views of this strategy too, as a training begins with them"
    )
    parser.add_argument("--output", required=True, type=named_path, metavar="FILE", help="a .png or .html file")
    parser.add_argument("--images", default=6, metavar="N", help="rows: training images to show (default: 6)")
    parser.add_argument("--draws", default=6, metavar="N", help="columns: draws of each image, one epoch apart (default: 6)")
    parser.add_argument("--seed", metavar="N", help="seed of the training (default: 0)")
    parser.add_argument("--epoch", metavar="N", help="first epoch to show (default: 1)")
    parser.add_argument("--ids", metavar="I,J", help="show the training images with these ids")
    parser.add_argument(
        "--run",
        dest="run_folder",
        type=named_path,
        metavar="RUN",
        help="show what this run saw, with its data, augmentation, seed and batches",
    )
    parser.add_argument(
        "--worst",
        type=named_path,
        metavar="RUN",
        help="like --run, for the images with the highest loss; of a comparison, by the mean over its networks",
    )
    parser.add_argument("--model", type=named_path, metavar="RUN", help="a run's folder, for augmentations that need saliency")
    add_setting(parser, "data_dir")
    add_setting(parser, "image_size")
    add_setting(parser, "resize", default="cover")
    parser.add_argument("--overwrite", action="store_true", help="replace the file")


def run(options: argparse.Namespace) -> None:
    """Run the job and print its result."""
    from augury.core.options import convert
    from augury.jobs.preview import Request, preview
    from augury.train.data.resize import Resize

    def number(name: str, low: int = 1) -> int | None:
        given = getattr(options, name)
        return None if given is None else parse_int(given, f"--{name.replace('_', '-')}", low)

    if options.run_folder is not None and options.worst is not None:
        raise InputError("--worst: already names the run; leave out --run")
    ids = None if options.ids is None else [parse_int(part, "--ids", 0) for part in options.ids.split(",")]
    request = Request(
        options.data, options.augment, number("images") or 6, number("draws") or 6, number("seed", 0), number("epoch"), ids,
        options.run_folder or options.worst, options.worst is not None, options.data_dir,
        image_size(options.image_size), options.model,
        convert(options.resize, Resize, f"--resize: {options.resize!r}"), options.strategy,
    )  # fmt: skip
    found = preview(request, options.output, overwrite=options.overwrite)
    print_notes({"notes": found.notes})
    if request.worst:
        print(*found.rows, sep="\n")
    print(options.output)
