"""Puts code together: the functions it needs, read from the templates, and one expression."""

import ast
from collections.abc import Callable, Iterable
from importlib.resources import files

from augury.augment.exported.blocks import Block, Several, Step

_INDENT = "    "
_WIDTH = 120


def functions(template: str, needed: Iterable[str]) -> str:
    """The imports, and the definitions of the template that `needed` names, or that those use."""
    text = files("augury.augment.exported.templates").joinpath(f"{template}.py").read_text(encoding="utf-8")
    tree = ast.parse(text)
    defined = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    aliases = {t.id: node for node in tree.body if isinstance(node, ast.Assign) for t in node.targets if isinstance(t, ast.Name)}
    wanted, queue = set(), [*needed]
    while queue:
        name = queue.pop()
        node = {**defined, **aliases}.get(name)
        if node is not None and name not in wanted:
            wanted.add(name)
            queue += [part.id for part in ast.walk(node) if isinstance(part, ast.Name)]
    bodies = [_source(text, node) for node in tree.body if _defines(node) & wanted]
    used = {part.id for body in bodies for part in ast.walk(ast.parse(body)) if isinstance(part, ast.Name)} | {*needed}
    groups = [line for node in tree.body if (line := _import(node, used))]
    return "\n".join(groups) + "\n\n\n" + "\n\n\n".join(bodies)


def _defines(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    return {t.id for t in node.targets if isinstance(t, ast.Name)} if isinstance(node, ast.Assign) else set()


def _source(text: str, node: ast.stmt) -> str:
    return "\n".join(text.splitlines()[node.lineno - 1 : node.end_lineno])


def _import(node: ast.stmt, used: set[str]) -> str:
    """The import with only the names that are used; empty where none is."""
    if not isinstance(node, ast.Import | ast.ImportFrom):
        return ""
    kept = [alias for alias in node.names if (alias.asname or alias.name) in used]
    if not kept:
        return ""
    names = ", ".join(alias.name + (f" as {alias.asname}" if alias.asname else "") for alias in kept)
    return f"from {node.module} import {names}" if isinstance(node, ast.ImportFrom) else f"import {names}"


def expression(block: Block, step: Callable[[Step], str], several: Callable[[str], tuple[str, str]], depth: int = 0) -> str:
    """A block as an expression over as many lines as it needs. several: what opens and closes a kind's list of parts."""
    if isinstance(block, Step):
        return step(block)
    opening, closing = several(block.kind)
    parts = [expression(part, step, several, depth + 1) for part in block.parts]
    line = f"{opening}{', '.join(parts)}{closing}"
    if len(line) + len(_INDENT) * depth <= _WIDTH and "\n" not in line:
        return line
    inner = "".join(f"{_INDENT * (depth + 1)}{part},\n" for part in parts)
    return f"{opening}\n{inner}{_INDENT * depth}{closing}"


def steps_of(block: Block) -> list[Step]:
    """All steps of a block."""
    return [block] if isinstance(block, Step) else [step for part in block.parts for step in steps_of(part)]


def chained(blocks: list[Block]) -> Block:
    """One block of several in turn; chains within are laid out flat."""
    parts = [
        part for block in blocks for part in (block.parts if isinstance(block, Several) and block.kind == "chain" else (block,))
    ]
    return parts[0] if len(parts) == 1 else Several("chain", tuple(parts))


def call(name: str, *given: str, **numbers: object) -> str:
    """A call's text."""
    return f"{name}({', '.join([*given, *(f'{key}={_text(value)}' for key, value in numbers.items())])})"


def _text(value: object) -> str:
    return repr(int(value)) if isinstance(value, float) and value.is_integer() and abs(value) < 1e6 else repr(value)
