"""Docstrings of plain prose, single backticks and doctests, as reStructuredText."""

import inspect
import re
from typing import Any

import augury

_CODE = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")
_FIELD = re.compile(r"^[a-z_][\w*, ]*: ")


def on_docstring(app: Any, what: str, name: str, found: Any, options: Any, lines: list[str]) -> None:
    lines[:] = to_rst(lines or _of_protocol(name))


def _of_protocol(name: str) -> list[str]:
    """What `Law` says of a member that the laws, which do not inherit from it, leave without a text."""
    owner, _, member = name.rpartition(".")
    law = getattr(augury, owner.rpartition(".")[2], None)
    is_law = inspect.isclass(law) and all(hasattr(law, each) for each in ("support", "value", "log_prob"))
    return (inspect.getdoc(getattr(augury.Law, member, None)) or "").splitlines() if is_law else []


def to_rst(lines: list[str]) -> list[str]:
    """The same text with code marked and everything that reStructuredText would read as markup escaped."""
    out: list[str] = []
    for block in _blocks(lines):
        if out:
            out.append("")
        first = block[0]
        if first.lstrip().startswith(">>>"):
            out += block
        elif first.startswith("    ") and out:
            out += ["::", "", *block]
        else:
            out += _prose(block)
    return [*out, ""]


def _blocks(lines: list[str]) -> list[list[str]]:
    blocks: list[list[str]] = []
    new = True
    for line in lines:
        if not line.strip():
            new = True
        elif new:
            blocks.append([line])
            new = False
        else:
            blocks[-1].append(line)
    return blocks


def _prose(block: list[str]) -> list[str]:
    """A paragraph, with a line of its own for each `name: what it is` that begins a line."""
    text = "\n".join(block)
    pieces, end = [], 0
    for match in _CODE.finditer(text):
        pieces += [_escaped(text[end : match.start()]), f"``{' '.join(match[1].split())}``"]
        end = match.end()
    pieces.append(_escaped(text[end:]))
    lines = "".join(pieces).split("\n")
    if any(_FIELD.match(line) for line in block) and not block[0].startswith("- "):
        return _as_items(lines)
    return [line.strip() if not block[0].startswith("- ") else line for line in lines]


def _as_items(lines: list[str]) -> list[str]:
    out: list[str] = []
    for line in lines:
        match = re.match(r"^([a-z_\\][\w\\*, ]*): (.*)$", line)
        if match:
            out += ["", f"- **{match[1]}**: {match[2]}"]
        else:
            out.append(f"  {line.strip()}" if any(x.startswith("- ") for x in out) else line.strip())
    return out[1:] if out and not out[0] else out


def _escaped(text: str) -> str:
    return re.sub(r"([*|]|_(?=\W|$)|\\)", r"\\\1", text)
