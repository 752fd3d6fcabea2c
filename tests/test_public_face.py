"""What `import augury` shows: to Python at run time, to editors and to type checkers."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import augury

ROOT = Path(__file__).resolve().parents[1]
PROMISED = """
    pipeline apply policy strategy model dataset names register Pipeline Batch Targets Noise Op Parameter Interval Law Constant
    Uniform LogUniform Choice Linear Stepped Ladder Beta Space Plan Policy Stage Strategy Step Views Settings fit compare recommend
    InputError
    RunError load_plugin ops policies presets __version__
"""


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=ROOT, timeout=300)


def test_everything_promised_is_there_and_told() -> None:
    assert set(PROMISED.split()) <= set(augury.__all__) <= set(dir(augury))
    for name in augury.__all__:
        assert getattr(augury, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'pipelin'"):
        augury.pipelin  # type: ignore[attr-defined]  # noqa: B018


def test_what_checkers_see_is_what_there_is() -> None:
    # The block for checkers and the table for run time, name by name. Catches a name in one of them alone.
    tree = ast.parse(Path(augury.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen, renamed = {}, {}
    for node in block.body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                seen[alias.asname or alias.name] = (node.module, alias.name)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple):
            renamed = {a.id: b.id for a, b in zip(node.targets[0].elts, node.value.elts, strict=True)}  # type: ignore[attr-defined]
    seen |= {new: seen.pop(old) for new, old in renamed.items()}
    assert set(seen) == set(augury.__all__) - {"__version__"}
    for name, (module, own) in seen.items():
        found = (
            importlib.import_module(f"{module}.{own}") if module == "augury" else getattr(importlib.import_module(str(module)), own)
        )
        assert getattr(augury, name) is found


def test_the_signatures_for_editors_are_those_of_the_source() -> None:
    done = run("tools/stubs.py", "--check")
    assert done.returncode == 0, f"run `python tools/stubs.py`:\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("door", [augury.ops, augury.policies, augury.presets])
def test_typed_functions_complete_with_their_own_signatures(door: object) -> None:
    for name in dir(door):
        made = getattr(door, name)
        assert made.__name__ == name and made.__doc__
        assert all(p.kind is p.KEYWORD_ONLY for p in inspect.signature(made).parameters.values())
    with pytest.raises(AttributeError, match="did you mean"):
        getattr(door, dir(door)[0] + "x")


def test_version_is_told() -> None:
    done = run("-m", "augury", "--version")
    assert done.stdout == f"augury {augury.__version__}\n" and done.returncode == 0
    assert f'version = "{augury.__version__}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
