"""The command line's pages, from its parser."""

import argparse

from augury.cli import _parser


def markdown() -> str:
    """A section for each command: what it does, and a table of its flags under their headings."""
    top = _parser()
    found = next(action for action in top._actions if isinstance(action, argparse._SubParsersAction))
    return "\n".join(_command(name, parser) for name, parser in found.choices.items())


def _command(name: str, parser: argparse.ArgumentParser) -> str:
    usage = parser.usage % {"prog": parser.prog} if parser.usage else parser.prog
    parts = [f"## `augury {name}`", "", _escaped(parser.description or ""), "", "```sh", usage, "```", ""]
    if isinstance(nested := _nested(parser), argparse._SubParsersAction):
        for word, below in nested.choices.items():
            parts += [_command(f"{name} {word}", below).replace("## ", "### ", 1)]
        return "\n".join(parts)
    for group in parser._action_groups:
        rows = [_row(action) for action in group._group_actions if action.help != argparse.SUPPRESS and action.dest != "help"]
        if rows:
            title = {"positional arguments": "Arguments", "options": "Also"}.get(group.title or "", group.title or "")
            heads = "| argument | what it is |" if title == "Arguments" else "| flag | what it does |"
            parts += [f"**{title}**", "", heads, "|---|---|", *rows, ""]
    return "\n".join(parts)


def _nested(parser: argparse.ArgumentParser) -> argparse.Action | None:
    return next((action for action in parser._actions if isinstance(action, argparse._SubParsersAction)), None)


def _row(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 or action.metavar is None else f" {action.metavar}"
    flags = ", ".join(f"`{flag}{value}`" for flag in action.option_strings) or f"`{action.metavar or action.dest}`"
    return f"| {flags.replace('|', chr(92) + '|')} | {_escaped(action.help or '')} |"


def _escaped(text: str) -> str:
    return text.replace("%%", "%").replace("|", "\\|").replace("*", "\\*").replace("<", "\\<").replace("_", "\\_")
