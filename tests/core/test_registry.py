"""The registry finds every name where it is defined, without importing it."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from card_facts import forgetting_new_names

from augury.core import registry
from augury.core.errors import InputError

ENTRIES = registry.entries()
SOURCE = Path(registry.__file__).resolve().parents[1]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: f"{e.kind}-{e.name}")
def test_every_name_has_a_source_a_summary_and_a_home(entry: registry.Registration) -> None:
    assert entry.source.strip() and entry.summary.strip() and "\n" not in entry.source + entry.summary
    assert entry.name == entry.name.lower() and entry.name.isidentifier()
    value = registry.get(entry.kind, entry.name)
    if entry.kind == "recipe":  # stands in a TOML file, which the package loads
        assert (value.name, value.title, value.source) == (entry.name, entry.summary, entry.source)
        return
    assert value.__module__ == entry.module
    assert inspect.getmodule(value) is importlib.import_module(entry.module)


@pytest.mark.parametrize("entry", registry.entries("op"), ids=lambda e: e.name)
def test_an_operation_knows_its_own_name(entry: registry.Registration) -> None:
    # A plan is told and an address is drawn by this name. Catches a copied op file.
    assert registry.get("op", entry.name)().name == entry.name


def test_every_decorator_in_the_package_is_found() -> None:
    # An independent count of the decorators. Catches files that the index skips.
    found = 0
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                calls = [d for d in node.decorator_list if isinstance(d, ast.Call) and isinstance(d.func, ast.Name)]
                found += sum(call.func.id == "register" for call in calls)  # type: ignore[attr-defined]
    recipes = len(list(SOURCE.rglob("*.toml")))
    assert found == len(ENTRIES) - recipes and recipes == len(registry.entries("recipe")) > 40


def test_names_are_sorted_and_unique() -> None:
    for kind in registry.KINDS:
        names = registry.names(kind)
        assert names == sorted(set(names))
        assert all(registry.has(kind, name) for name in names)
    assert not registry.has("op", "randaugment") and not registry.has("policy", "rotate")


@pytest.mark.parametrize(("wrong", "near"), [("rotat", "rotate"), ("cut_out", "cutout"), ("Equalise", "equalize")])
def test_an_unknown_name_is_refused_with_the_nearest(wrong: str, near: str) -> None:
    with pytest.raises(InputError, match=f"unknown op '{wrong}'; did you mean '{near}'"):
        registry.get("op", wrong)


def test_a_name_that_a_library_spells_so_is_its_own() -> None:
    with pytest.raises(InputError, match=r"did you mean cutout\(fraction=0.5\) \(composer's CutOut\)"):
        registry.get("op", "CutOut")


def test_a_name_near_nothing_is_refused_with_all_that_are_known() -> None:
    with pytest.raises(InputError, match="known: .*standard"):
        registry.get("preset", "qqqq")


def test_presets_are_found_by_the_word_they_were_called_before() -> None:
    # Catches a plug-in or a script of before that registers or asks for a "pipeline" and is refused, or is not found.
    assert registry.names("pipeline") == registry.names("preset") and registry.has("pipeline", "standard")
    with forgetting_new_names():

        @registry.register("pipeline", "of_before", source="here")
        def mine() -> tuple[str, ...]:
            return ()

        assert registry.get("preset", "of_before") is mine and registry.get("pipeline", "of_before") is mine


def test_a_name_from_outside_joins_and_a_taken_one_is_refused() -> None:
    with forgetting_new_names():

        @registry.register("op", "from_a_notebook", source="here")
        def mine() -> int:
            """Mine."""
            return 1

        assert registry.get("op", "from_a_notebook") is mine
        assert "from_a_notebook" in registry.names("op")
        with pytest.raises(ValueError, match="already registered"):
            registry.register("op", "rotate", source="here")(mine)
        with pytest.raises(ValueError, match="kind"):
            registry.register("oper", "x", source="here")  # type: ignore[arg-type]
    assert not registry.has("op", "from_a_notebook")


def test_the_index_imports_neither_torch_nor_methods() -> None:
    code = "import sys; from augury.core import registry; n = len(registry.entries());"
    code += "assert n > 10; bad = {'torch', 'numpy', 'scipy', 'PIL'} & set(sys.modules); assert not bad, bad"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(SOURCE.parent)})
