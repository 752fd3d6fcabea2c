"""Start a new operation: `python tools/new_op.py NAME` writes its file and its method card, both working and to be edited."""

import argparse
import keyword
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from augury.core import registry  # noqa: E402
from augury.core.errors import InputError  # noqa: E402

OPERATION = '''"""@NAME@: replace this line."""

from torch import Tensor

from augury.augment.ops._lower import affine
from augury.core.laws import Uniform
from augury.core.op import Op, Parameter, Parts, Values
from augury.core.options import Interval
from augury.core.registry import register


@register("op", "@NAME@", source="replace: paper, arXiv number, section")
def @NAME@() -> Op:
    """Replace: stretches the image sideways about its centre, `factor` times as wide."""
    factor = Parameter(Uniform(0.8, 1.25), Interval(0.1, 10), "times")
    return Op("@NAME@", "warp", _lower, {"factor": factor}, identity={"factor": 1.0})


def _lower(values: Values, size: Tensor) -> Parts:
    step = 1 / values["factor"].double()
    centre = size[:, 1].double() / 2
    return affine((step, 0.0, centre - step * centre, 0.0, 1.0, 0.0), bilinear=False, fill=0)
'''

CARD = """# @NAME@

## What it does

Replace: stretches the image sideways about its centre, `factor` times as wide.

## When to use it

Replace: what it makes a classifier invariant to, and where that holds.

## When not

Replace: where it destroys the label.

## Cost

One gather per pixel, in the slot's one warp pass.

## Settings

- `factor`: drawn for every image; default uniform(0.8, 1.25); from 0.1 to 10, times; 1 changes nothing.
- `p`: the probability of firing; default 1.

## Source

replace: paper, arXiv number, section

## Measured

Not measured yet.
"""


def create(name: str, root: Path) -> list[Path]:
    """Write the operation's file and its card under `root`; InputError for a bad or taken name, with nothing written."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise InputError(f"NAME: {name!r} must be lower-case letters, digits and underscores, for example solarize_add")
    for kind in ("op", "policy", "preset"):
        if registry.has(kind, name):  # type: ignore[arg-type]
            raise InputError(f"NAME: {name!r} is already the name of a registered {kind}; choose another")
    paths = [root / "src/augury/augment/ops" / f"{name}.py", root / "docs/cards/op" / f"{name}.md"]
    for path in paths:
        if path.exists():
            raise InputError(f"NAME: {path.relative_to(root)} exists; choose another name or remove it")
    for path, text in zip(paths, (OPERATION, CARD), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("@NAME@", name), encoding="utf-8")
    return paths


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(prog="new_op.py", description=__doc__)
    parser.add_argument("name", metavar="NAME", nargs="?", default="", help="the operation's name, for example solarize_add")
    try:
        paths = create(parser.parse_args(arguments).name, root)
    except InputError as error:
        print(f"new_op: {error}", file=sys.stderr)
        return 2
    for path in paths:
        print(path.relative_to(root))
    print("next: edit both, then `make test`")
    return 0


if __name__ == "__main__":
    sys.exit(main())
