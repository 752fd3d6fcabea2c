"""Write the signatures that editors and type checkers read: `python tools/stubs.py` after a method or a setting was added.

`augury.ops`, `augury.policies` and `augury.presets` build what is registered, and `augury.fit` takes what `Settings` holds; their
`.pyi` files are made from both, and a test fails where they are not as they would be made now. `--check` writes nothing.
"""

import inspect
import json
import sys
import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from generated import ROOT, main

sys.path.insert(0, str(ROOT / "src"))

from augury.augment import typed  # noqa: E402
from augury.augment.pipeline import Pipeline  # noqa: E402
from augury.core import registry  # noqa: E402
from augury.core.laws import Law  # noqa: E402
from augury.jobs import front  # noqa: E402
from augury.train.engine.settings import Settings  # noqa: E402

HEAD = "# Written by tools/stubs.py; do not edit.\n"
DOORS: dict[str, registry.Kind] = {"ops": "op", "policies": "policy", "presets": "preset"}
NAMED = ((typed.Drawn, "Drawn"), (typed.Augmentation, "Augmentation"), (Pipeline, "Pipeline"), (Law, "Law"))
WIDTH = 132


def annotation(hint: Any) -> str:
    """A type as it is written; the aliases of `augury.augment.typed` by their names."""
    if isinstance(hint, list):  # the arguments of a function
        return f"[{', '.join(map(annotation, hint))}]"
    for alias, name in NAMED:
        if hint == alias:
            return name
        if get_args(alias) and get_origin(hint) in (Union, types.UnionType) and set(get_args(alias)) < set(get_args(hint)):
            rest = [annotation(part) for part in get_args(hint) if part not in get_args(alias)]
            return " | ".join([name, *rest])
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return annotation(arguments[0])
    if origin is Literal:
        return f"Literal[{', '.join(map(default, arguments))}]"
    if origin in (Union, types.UnionType):
        return " | ".join(map(annotation, arguments))
    if arguments:
        return f"{origin.__name__}[{', '.join('...' if a is Ellipsis else annotation(a) for a in arguments)}]"
    return "None" if hint in (None, type(None)) else hint.__name__


def default(value: Any) -> str:
    """A default as it is written; what has no literal form is left to the source."""
    if isinstance(value, str):
        return json.dumps(value)
    return repr(value) if value is None or isinstance(value, bool | int | float | tuple) else "..."


def definition(name: str, parameters: list[str], result: str, doc: str) -> str:
    text = f"def {name}({', '.join(parameters)}) -> {result}:"
    if len(text) > WIDTH:
        text = f"def {name}(\n" + "".join(f"    {p},\n" for p in parameters) + f") -> {result}:"
    return f'{text}\n    """{doc}"""\n'


def door(kind: registry.Kind) -> str:
    """The stub of a module that builds what is registered under a kind."""
    made = []
    for entry in registry.entries(kind):
        if not entry.own:
            continue
        found = typed.signature(kind, entry.name).parameters.values()
        empty = inspect.Parameter.empty
        options = [
            f"{p.name}: {annotation(p.annotation)}" + ("" if p.default is empty else f" = {default(p.default)}") for p in found
        ]
        doc = inspect.getdoc(registry.get(kind, entry.name)) or ""
        doc = doc.replace("\\", "\\\\").replace("\n", "\n    ").replace("    \n", "\n")
        made.append(definition(entry.name, ["*", *options] if options else [], "Pipeline", doc + ("\n    " if "\n" in doc else "")))
    body = "\n".join(made)
    names = [name for name in ("Augmentation", "Drawn") if name in body]
    imports = ["from collections.abc import Sequence\n"] if "Sequence[" in body else []
    imports += ["from typing import Literal\n"] if "Literal[" in body else []
    imports += ["\n"] if imports else []
    imports.append("from augury.augment.pipeline import Pipeline\n")
    imports += [f"from augury.augment.typed import {', '.join(names)}\n"] if names else []
    return f"{HEAD}{''.join(imports)}\n{body}"


def settings_parameters(several: bool) -> list[str]:
    hints = get_type_hints(Settings, include_extras=True)
    found = []
    for name, field in Settings.__dataclass_fields__.items():
        if name == "data":
            continue
        hint = annotation(hints[name])
        if name in ("augment", "augment2"):
            hint = hint.replace("str", "Augmentation")
        if several and name == "strategy":
            hint = "str | Sequence[str]"
        found.append(f"{name}: {hint} = {default(field.default)}")
    return found


def fitting() -> str:
    """The stub of `augury.jobs.front`: its functions with every setting."""
    functions = []
    for function in (front.fit, front.compare):
        own = [p for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
        hints = get_type_hints(function)
        parameters = [
            f"{p.name}: {annotation(hints[p.name]).replace('PathLike', 'os.PathLike')}"
            + ("" if p.default is p.empty else f" = {default(p.default)}")
            for p in own
        ]
        doc = (inspect.getdoc(function) or "").replace("\n", "\n    ").replace("    \n", "\n") + "\n    "
        several = function is front.compare
        result = hints["return"].__name__
        functions.append(
            definition(function.__name__, ["data: str | Settings", "*", *parameters, *settings_parameters(several)], result, doc)
        )
    head = (
        "import os\nfrom collections.abc import Callable, Sequence\nfrom typing import Any, Literal\n\n"
        "from augury.augment.typed import Augmentation\nfrom augury.jobs.comparison import Comparison\n"
        "from augury.jobs.runs import Run\nfrom augury.train.engine.settings import Settings\n\n"
    )
    return HEAD + head + "\n".join(functions)


def stubs() -> dict[Path, str]:
    """Every stub's text, by its path."""
    folder = ROOT / "src" / "augury"
    return {folder / f"{name}.pyi": door(kind) for name, kind in DOORS.items()} | {folder / "jobs" / "front.pyi": fitting()}


if __name__ == "__main__":
    sys.exit(main("stubs.py", __doc__ or "", stubs()))
