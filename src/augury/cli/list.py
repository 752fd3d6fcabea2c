"""`augury list`."""

import argparse
import json
import shutil
import sys
import textwrap

from augury.cli.shared import add_json

HELP = "list everything that is registered, with its source"


def add(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.add_argument("--pipeline", metavar="A", help="show the stages of this augmentation instead")
    add_json(parser)


def run(options: argparse.Namespace) -> None:
    """Run the job and print its result."""
    from augury.jobs.listing import listing, stages

    if options.pipeline is not None:
        rows = stages(options.pipeline)
        text = [f"{r['stage']:<18} on {r['sees']}" for r in rows]
    else:
        rows = listing()
        wide = max(len(r["name"]) for r in rows)
        text, kind = [], None
        for r in rows:
            text += [f"\n{r['kind']}"] if r["kind"] != kind else []
            origin = "" if r["origin"] == "augury" else f"  (plug-in {r['origin']})"
            source = f"  [{r['source']}]" if r["source"] else ""
            text.append(f"  {r['name']:<{wide}}  {r['summary']}{source}{origin}")
            kind = r["kind"]
    print(json.dumps(rows, indent=1) if options.json else "\n".join(_wrapped(text)).lstrip("\n"))


def _wrapped(lines: list[str]) -> list[str]:
    """Lines wrapped to the terminal's width with a hanging indent; unwrapped when piped."""
    if not sys.stdout.isatty():
        return lines
    width = max(40, shutil.get_terminal_size().columns)
    return [
        part
        for line in lines
        for part in textwrap.wrap(line, width, subsequent_indent=" " * 8, break_on_hyphens=False) or [line]
    ]  # fmt: skip
