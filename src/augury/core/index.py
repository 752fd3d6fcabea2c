"""The index of Augury's own names, read from the package's source files without importing them.

`augury list` and `augury --help` therefore need neither torch nor any method's dependencies. Each name is written once, in
the decorator in the file that defines it. A recipe is a TOML file and has the file's name; its package loads it.
"""

import ast
import functools
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from augury.core.errors import InputError
from augury.core.text import shortened

Kind = Literal[
    "op",
    "preset",
    "policy",
    "saliency",
    "strategy",
    "model",
    "library",
    "dataset",
    "reader",
    "logger",
    "measurement",
    "theory",
    "recipe",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
# The former name of presets, still accepted from plug-ins and scripts.
OLD_KINDS: dict[str, Kind] = {"pipeline": "preset"}
PACKAGE = Path(__file__).resolve().parents[1]
FORM = "write `from augury.core.registry import register` and `@register(...)` above a module-level function"


@dataclass(frozen=True)
class Registration:
    """One registered name: its kind, its source (paper), a one-line summary and the module that defines it."""

    kind: Kind
    name: str
    source: str
    summary: str
    module: str

    @property
    def own(self) -> bool:
        """Whether it belongs to Augury itself and not to a plug-in."""
        return self.module.partition(".")[0] == "augury"


_DECORATED = re.compile(r"^@[\w.]*\bregister\(", re.MULTILINE)


@functools.cache
def index() -> dict[tuple[str, str], Registration]:
    found: dict[tuple[str, str], Registration] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if not _DECORATED.search(text):
            continue
        module = ".".join(("augury", *path.relative_to(PACKAGE).with_suffix("").parts))
        for entry in _entries_of(ast.parse(text), module):
            if (entry.kind, entry.name) in found:
                raise ValueError(f"{entry.kind} {entry.name!r} is registered twice, last in {module}")
            found[entry.kind, entry.name] = entry
    for path in sorted(PACKAGE.glob("recipes/*.toml")):
        found["recipe", path.stem] = _recipe(path)
    return found


def _recipe(path: Path) -> Registration:
    """The entry of a recipe. Only the head of the file is parsed, since every command reads this index and rows are many."""
    head, _, _ = path.read_text(encoding="utf-8").partition("\nrows")
    values = tomllib.loads(head)
    package = ".".join(("augury", *path.parent.relative_to(PACKAGE).parts))
    return Registration("recipe", path.stem, str(values.get("source", "")), str(values.get("title", "")), package)


def _entries_of(tree: ast.Module, module: str) -> list[Registration]:
    found = []
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        for call in node.decorator_list:
            if not isinstance(call, ast.Call):
                continue
            if isinstance(call.func, ast.Attribute) and call.func.attr == "register":
                raise ValueError(f"{module} line {call.lineno}: `@{ast.unparse(call.func)}(...)` is not indexed; {FORM}")
            if isinstance(call.func, ast.Name) and call.func.id == "register":
                found.append(_entry_of(call, node, module))
    return found


def _entry_of(call: ast.Call, node: ast.FunctionDef | ast.ClassDef, module: str) -> Registration:
    try:
        kind, name = (ast.literal_eval(argument) for argument in call.args)
        source = next(ast.literal_eval(k.value) for k in call.keywords if k.arg == "source")
    except (ValueError, StopIteration):
        form = '@register("KIND", "NAME", source="...")'
        raise ValueError(f"{module} line {call.lineno}: write `{form}` with string literals, which the index reads") from None
    return Registration(kind_of(kind), name, source, first_line(ast.get_docstring(node)), module)


def kind_of(word: str) -> Kind:
    """The kind of that name, its former name included; InputError if there is none."""
    found = OLD_KINDS.get(word, word) if isinstance(word, str) else word
    for kind in KINDS:
        if kind == found:
            return kind
    raise InputError(f"kind: must be one of {', '.join(KINDS)}, got {shortened(repr(word))}")


def first_line(text: str | None) -> str:
    return (text or "").strip().split("\n")[0].strip()
