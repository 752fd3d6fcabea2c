"""`augury preview`."""

import argparse
from pathlib import Path

from augury.cli.shared import DATA, print_notes, whole

HELP = "what an augmentation does to your own images"


def add(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.add_argument("data", metavar="DATA", help=DATA)
    parser.add_argument("--augment", required=True, metavar="A", help="augmentations, parted by commas")
    parser.add_argument("--output", required=True, type=Path, metavar="FILE", help="a .png or .html file")
    for flag, default, text in (
        ("--images", 6, "rows: training images shown"), ("--draws", 6, "columns: draws of each"),
        ("--seed", 0, "the training's seed"), ("--epoch", 1, "the first epoch shown"),
    ):  # fmt: skip
        parser.add_argument(flag, default=default, metavar="N", help=f"{text} ({default})")
    parser.add_argument("--model", type=Path, metavar="RUN", help="a run's folder, for augmentations that look at saliency")
    parser.add_argument("--data-dir", metavar="D", help="where a named data set already is")
    parser.add_argument("--image-size", metavar="N", help="side that images of differing size are brought to")
    parser.add_argument("--overwrite", action="store_true", help="replace the file")


def run(options: argparse.Namespace) -> None:
    """Call the job and print what it found."""
    from augury.jobs.preview import preview

    numbers = {
        name: whole(getattr(options, name), f"--{name}", 0 if name == "seed" else 1)
        for name in ("images", "draws", "seed", "epoch")
    }
    size = None if options.image_size is None else whole(options.image_size, "--image-size")
    notes = preview(
        options.data, options.augment, options.output, **numbers, data_dir=options.data_dir, image_size=size,
        overwrite=options.overwrite, model=options.model,
    )  # fmt: skip
    print_notes({"notes": notes})
    print(options.output)
