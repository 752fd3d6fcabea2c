"""`augury policy`."""

import argparse
import json
import sys

from augury.cli.shared import add_json, named_path, parse_int
from augury.core.errors import InputError
from augury.core.text import Printable

HELP = "show, import, export or compare policies"


def add(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.add_argument(
        "action",
        choices=("show", "import", "export", "diff"),
        metavar="show|import|export|diff",
        help="show a policy, import or export it in another library's notation, or list the differences between two",
    )
    named = "a name with options, or a policy file; for export, also a chain; for import, another library's name"
    parser.add_argument("policy", metavar="POLICY", help=named)
    parser.add_argument("other", metavar="OTHER", nargs="?", help="for diff, the policy to compare with")
    written = "for import and export, the file to write; code is printed without it"
    parser.add_argument("--output", type=named_path, metavar="FILE", help=written)
    parser.add_argument(
        "--to",
        default="yaml",
        choices=("yaml", "fast_autoaugment", "torchvision", "timm", "albumentations", "python"),
        help="for export, the format, or the library of code that runs without Augury; python is Pillow alone (default: yaml)",
    )
    parser.add_argument(
        "--image-size",
        default=32,
        metavar="N",
        help="side of the images in pixels, on which the values of some policies depend (default: 32)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the file")
    add_json(parser)


def run(options: argparse.Namespace) -> None:
    """Run the job and print its result."""
    from augury.jobs import policy

    side = parse_int(options.image_size, "--image-size")
    if (options.action == "diff") != (options.other is not None):
        raise InputError("OTHER: `augury policy diff` takes two policies, the other actions one")
    if options.action == "show":
        shown = policy.show(options.policy, side)
        lines = [line for period in shown["periods"] for line in period["policies"]]
        if shown.get("repeat", 1) > 1:
            lines.insert(0, f"every image gets {shown['repeat']} of these, one after another:")
        print(json.dumps(shown, indent=1) if options.json else "\n".join([f"{shown['name']}  [{shown['source']}]", *lines]))
    elif options.action == "import":
        found = policy.import_policy(options.policy, options.output, overwrite=options.overwrite, side_pixels=side)
        for line in found.notes:
            Printable(sys.stderr).write(f"note: {line}\n")
        print(found.text)
    elif options.action == "export" and options.to not in ("yaml", "fast_autoaugment"):
        made = policy.code_of(options.policy, options.to, options.output, overwrite=options.overwrite, side_pixels=side)
        for line in made.notes:
            print(f"note: {line}", file=sys.stderr)
        print(made.code.rstrip() if options.output is None else options.output)
    elif options.action == "export":
        if options.output is None:
            raise InputError("--output: name the file to write")
        for line in policy.write_notation(
            options.policy, options.to, options.output, overwrite=options.overwrite, side_pixels=side
        ):  # fmt: skip
            Printable(sys.stderr).write(f"note: {line}\n")
        print(options.output)
    else:
        lines = policy.diff(options.policy, options.other, side)
        print("\n".join(lines) if lines else "no difference")
