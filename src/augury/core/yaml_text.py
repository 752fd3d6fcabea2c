"""Reads YAML safely: plain values only, within limits that are checked before anything is expanded.

The limits protect against untrusted files: a kilobyte of aliases can expand to gigabytes, and a number with thousands of
digits takes minutes to parse.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from augury.core import files
from augury.core.errors import InputError

DEEPEST, LONGEST_NUMBER = 50, 300
Loader = type[yaml.SafeLoader]
_NUMBER = re.compile(r"[-+]?[0-9][0-9a-fA-FxXob_:.eE+-]*")
_BROKEN = (yaml.YAMLError, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True)
class Limits:
    """How much a file may hold, with aliases expanded.

    megabytes: of everything but texts in quotes or blocks, which parse into one value each: config.yaml keeps policy files in them.
    loader: the parser; the one in C is ten times faster, but less precise about line numbers.
    """

    megabytes: float = 1
    nodes: int = 10_000
    loader: Loader = yaml.SafeLoader


LARGEST = 16  # MB of a file, texts included
SETTINGS = Limits()
# A policy file has a line for every operation of every sub-policy: a schedule of 600 epochs has 400,000 values.
POLICIES = Limits(LARGEST, 5_000_000, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def read_text(path: Path | str, where: str) -> str:
    """A regular file's text. Raises InputError starting with `where` if it is too large, otherwise as `files.read_text` does."""
    size = Path(path).stat().st_size
    if size > LARGEST * 2**20:
        raise InputError(f"{where}: has {size / 2**20:.1f} MB; at most {LARGEST} MB are read")
    return files.read_text(path)


def compose(text: str, where: str, limits: Limits = SETTINGS) -> yaml.Node | None:
    """The text's nodes. Raises InputError with `where` and the line for invalid YAML and for values beyond the limits."""
    try:
        _check(text, where, limits)
        root = yaml.compose(text, Loader=limits.loader)
        if root is not None:
            _expanded(root, where, limits, {})
        return root
    except _BROKEN as error:
        raise _refused(error, where) from None


def value_of(node: yaml.Node | None, where: str) -> Any:
    """The value of a node. Raises InputError with `where` and the line if it is not a plain value."""
    if node is None:
        return None
    try:
        return yaml.SafeLoader("").construct_document(node)
    except _BROKEN as error:
        raise _refused(error, where, node.start_mark.line + 1) from None


def load(text: str, where: str, limits: Limits = SETTINGS) -> Any:
    """The value of a YAML text. Raises InputError with `where` and the line."""
    return value_of(compose(text, where, limits), where)


def _check(text: str, where: str, limits: Limits) -> None:
    """Parse the text once, stopping at the first thing that exceeds the limits."""
    depth = nodes = quoted = 0
    for event in yaml.parse(text, Loader=limits.loader):
        line = f"{where} line {_line(event.start_mark)}"
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if isinstance(event, yaml.ScalarEvent) and event.style:
            quoted += _index(event.end_mark) - _index(event.start_mark)
        if _index(event.end_mark) - quoted > limits.megabytes * 2**20:
            raise InputError(f"{line}: more than {limits.megabytes:g} MB besides texts in quotes")
        if not isinstance(event, yaml.NodeEvent):
            continue
        nodes += 1
        if nodes > limits.nodes:
            raise InputError(f"{line}: holds more than {limits.nodes} values")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                raise InputError(f"{line}: lists and mappings are nested more than {DEEPEST} deep")
        elif isinstance(event, yaml.ScalarEvent) and _is_long_number(event):
            raise InputError(f"{line}: a number with {len(event.value)} digits; at most {LONGEST_NUMBER} are accepted")


def _is_long_number(event: yaml.ScalarEvent) -> bool:
    """Whether it would be parsed as a long number; quoted text is not, unless it has a tag."""
    return len(event.value) > LONGEST_NUMBER and bool(event.implicit[0] or event.tag) and bool(_NUMBER.fullmatch(event.value))


def _expanded(node: yaml.Node, where: str, limits: Limits, known: dict[int, int]) -> int:
    """How many values a node holds once aliases are expanded. known: nodes already counted; 0 while one is being counted."""
    if id(node) in known:
        if not (found := known[id(node)]):
            raise InputError(f"{where} line {_line(node.start_mark)}: an alias that contains itself; write the value out instead")
        return found
    known[id(node)] = 0
    children: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        children = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    known[id(node)] = total = 1 + sum(_expanded(child, where, limits, known) for child in children)
    if total > limits.nodes:
        raise InputError(f"{where} line {_line(node.start_mark)}: more than {limits.nodes} values once aliases are expanded")
    return total


def _line(mark: Any) -> int:
    return mark.line + 1


def _index(mark: Any) -> int:
    return mark.index


def _refused(error: BaseException, where: str, line: int | None = None) -> InputError:
    if isinstance(error, InputError):
        return error
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    line = mark.line + 1 if mark is not None else line
    said = problem or (str(error).splitlines() or [type(error).__name__])[0]
    if "could not determine a constructor" in said:
        said = "a tag, which could execute code; only plain values are read"
    return InputError(f"{where}{f' line {line}' if line else ''}: not readable as YAML ({said})")
