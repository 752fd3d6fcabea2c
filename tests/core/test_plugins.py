"""Names from outside the package: how they are loaded, what is refused, what is recorded."""

import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from card_facts import forgetting_new_modules

import augury
from augury.core import index, plugins, registry
from augury.core.errors import InputError

SOURCE = str(Path(registry.__file__).resolve().parents[2])
MINE = '''import augury


@augury.register("op", "upside_down")
def upside_down() -> augury.Op:
    """Upside down."""
    return augury.Op("upside_down", "map", lambda images, values, size: images.flip(-2))
'''


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    with forgetting_new_modules(lambda name: hasattr(sys.modules[name], "__augury_text__")):
        yield


def written(path: Path, text: str = MINE) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def entry(name: str, module: str = "somewhere") -> registry.Registration:
    return registry.Registration("op", name, "", "", module)


def test_a_file_is_loaded_once_and_again_when_it_has_changed(tmp_path: Path) -> None:
    file = written(tmp_path / "mine.py")
    first = augury.load_plugin(file)
    image = torch.arange(12, dtype=torch.uint8).reshape(1, 1, 4, 3)
    assert augury.pipeline("upside_down")(image).equal(image.flip(-2))
    made = registry.get("op", "upside_down")
    assert augury.load_plugin(str(file)) == first and registry.get("op", "upside_down") is made
    written(file, MINE.replace("flip(-2)", "flip(-1)"))
    assert augury.load_plugin(file).sha256 != first.sha256
    assert augury.pipeline("upside_down")(image).equal(image.flip(-1))


def test_a_file_that_was_imported_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path / "imported_mine.py")
    monkeypatch.syspath_prepend(tmp_path)
    __import__("imported_mine")
    made = registry.get("op", "upside_down")
    assert augury.load_plugin(file).module == "imported_mine" and registry.get("op", "upside_down") is made
    del sys.modules["imported_mine"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", "registers no name"),
        ("import augury\nx = 1 / 0\n", "line 2: ZeroDivisionError: division by zero"),
        ("def f(:\n", "line 1: SyntaxError"),
        (MINE + "\n1 / 0\n", "line 9: ZeroDivisionError"),
        (MINE.replace("upside_down", "rotate"), "line 4: register: op 'rotate' is already registered by augury.augment.ops.rotate"),
        (MINE.replace('"op", "upside_down"', '"policy", "rotate"'), "op 'rotate' is already registered"),
        (MINE.replace('"op", "upside_down"', '"op", "Upside-Down"'), "must be lower-case letters"),
        (MINE.replace('"op"', '"ops"'), "unknown kind 'ops'; did you mean 'op'"),
        (MINE + MINE.replace("def upside_down", "def another"), "op 'upside_down' is already registered by broken"),
    ],
)
def test_a_plugin_that_cannot_be_used_leaves_nothing(tmp_path: Path, text: str, message: str) -> None:
    file = written(tmp_path / "broken.py", text)
    with pytest.raises(InputError) as refused:
        augury.load_plugin(file)
    assert message in str(refused.value) and str(refused.value).startswith(f"--plugin {file}")
    assert not registry.has("op", "upside_down") and not registry.has("policy", "rotate")
    assert registry.get("op", "rotate").__module__ == "augury.augment.ops.rotate"


def test_a_change_that_fails_leaves_the_names_as_they_were(tmp_path: Path) -> None:
    file = written(tmp_path / "mine.py")
    augury.load_plugin(file)
    made = registry.get("op", "upside_down")
    written(file, "1 / 0\n")
    with pytest.raises(InputError, match="ZeroDivisionError"):
        augury.load_plugin(file)
    assert registry.get("op", "upside_down") is made


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.py", "no such file"),
        ("no_such_module_here", "there is no module 'no_such_module_here'; for a file, give its path"),
        ("a folder/", "expected a Python file such as mine.py"),
        ("json", "registers no name"),
    ],
)
def test_what_is_no_plugin_is_refused(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        augury.load_plugin(name)


@pytest.mark.parametrize("name", ["json.py", "not-a-name.py"])
def test_a_file_whose_name_cannot_be_a_module_of_its_own_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="rename the file"):
        augury.load_plugin(written(tmp_path / name))


def test_two_plugins_cannot_share_a_name(tmp_path: Path) -> None:
    augury.load_plugin(written(tmp_path / "mine.py"))
    with pytest.raises(InputError, match="op 'upside_down' is already registered by mine"):
        augury.load_plugin(written(tmp_path / "yours.py"))


def test_only_names_that_are_used_are_recorded(tmp_path: Path) -> None:
    mine = augury.load_plugin(written(tmp_path / "mine.py"))
    found = {"mine": f"sha256:{mine.sha256}"}
    assert plugins.recorded({"augment": "crop+keep(upside_down, tau=0.5)"}) == found
    assert plugins.recorded({"augment": ["none", {"standard": {"policy": "upside_down"}}]}) == found
    assert plugins.recorded({"augment": "crop", "data": "folder/upside_down", "strategy": "erm"}) == {}
    policy = written(tmp_path / "policy.yaml", "policies: [[{op: upside_down}]]")
    assert plugins.recorded({"augment": f"crop+{policy}"}) == found


def test_what_is_recorded_is_asked_for(tmp_path: Path) -> None:
    mine = augury.load_plugin(written(tmp_path / "mine.py"))
    plugins.check({"mine": f"sha256:{mine.sha256}"}, "FILE")
    with pytest.raises(InputError, match="FILE: the plug-in mine is not the one that was used"):
        plugins.check({"mine": "sha256:0"}, "FILE")
    with pytest.raises(InputError, match="FILE: uses the plug-in yours; add --plugin"):
        plugins.check({"yours": "sha256:0"}, "FILE")
    with pytest.raises(InputError, match="expected `module: sha256:...` lines"):
        plugins.check(["mine"], "FILE")


def test_the_hash_of_a_package_covers_all_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "my_package"
    package.mkdir()
    written(package / "__init__.py", "")
    written(package / "ops.py", MINE)
    other = written(package / "helper.py", "x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = augury.load_plugin("my_package.ops")
    assert before.module == "my_package.ops" and before.text is None
    written(other, "x = 2\n")
    assert plugins.plugin_of("my_package.ops").sha256 != before.sha256
    for name in ("my_package", "my_package.ops"):
        del sys.modules[name]


def test_a_session_can_define_its_names_again() -> None:
    def op() -> None:
        """Mine."""

    op.__module__ = "__main__"
    registry.register("op", "from_a_cell")(op)  # type: ignore[arg-type]
    registry.register("op", "from_a_cell")(op)
    assert plugins.plugin_of("__main__").label == "this session"
    with pytest.raises(InputError, match="from_a_cell: defined in a notebook or script; move it to a file"):
        plugins.portable(plugins.used_in({"augment": "from_a_cell"}), "--ray")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            '@registry.register("op", "x", source="s")',
            "`@registry.register\\(...\\)` is not indexed; write `from augury.core.registry",
        ),
        ('@register("op", NAME, source="s")', "string literals"),
        ('@register("op", "x")', "string literals"),
    ],
)
def test_the_index_refuses_what_it_cannot_read(line: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / "one.py", f"NAME = 'x'\n{line}\ndef x():\n    '''X.'''\n")
    monkeypatch.setattr(index, "PACKAGE", tmp_path)
    with pytest.raises(ValueError, match=message):
        index.index.__wrapped__()


def test_a_name_of_the_package_that_the_index_missed_is_refused() -> None:
    def made() -> None:
        """Registered by a plain call."""

    made.__module__ = "augury.augment.ops.made"
    with pytest.raises(ValueError, match="not in the index; write `from augury.core.registry import register`"):
        registry.register("op", "made_by_call", source="s")(made)


def installed(tmp_path: Path, text: str = MINE) -> dict[str, str]:
    """The environment of a process that finds an installed package with a plug-in in `tmp_path`."""
    written(tmp_path / "their_ops.py", text)
    info = tmp_path / "their_package-1.2.dist-info"
    info.mkdir()
    written(info / "METADATA", "Metadata-Version: 2.1\nName: their-package\nVersion: 1.2\n")
    written(info / "entry_points.txt", "[augury.plugins]\ntheirs = their_ops\n")
    return {**os.environ, "PYTHONPATH": f"{SOURCE}{os.pathsep}{tmp_path}"}


def command(*arguments: str, env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-m", "augury", *arguments], capture_output=True, text=True, env=env, timeout=120)


def test_an_installed_plugin_is_listed_with_its_package_and_used(tmp_path: Path) -> None:
    env = installed(tmp_path)
    line = next(line for line in command("list", env=env).stdout.splitlines() if "upside_down" in line)
    assert line.split() == ["upside_down", "Upside", "down.", "(plug-in", "their-package", "1.2)"]
    done = command("list", "--pipeline", "crop+upside_down", env=env)
    assert "upside_down" in done.stdout and not done.stderr
    # Where a name is Augury's own, nothing else is imported.
    code = "import sys, augury; augury.pipeline('crop'); assert 'their_ops' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env=env)


def test_an_installed_plugin_that_fails_is_named(tmp_path: Path) -> None:
    done = command("list", env=installed(tmp_path, "1 / 0\n"))
    assert done.returncode == 2
    assert done.stderr == "augury: the installed plug-in their-package 1.2: ZeroDivisionError: division by zero\n"


def forget(name: str) -> None:
    registry.withdraw(name)
    sys.modules.pop(name, None)


def test_plugins_are_restored_where_their_file_is_not(tmp_path: Path) -> None:
    """What a worker or a pickle's reader does. Catches a text that is lost, and another version that is taken for the same."""
    file = written(tmp_path / "restored_mine.py")
    plugin = augury.load_plugin(file)
    assert plugin.label == "restored_mine.py" and plugin.text == MINE
    forget("restored_mine")
    file.unlink()
    plugins.restore([plugins.Plugin("__main__", ""), plugin])
    image = torch.arange(12, dtype=torch.uint8).reshape(1, 1, 4, 3)
    assert augury.pipeline("upside_down")(image).equal(image.flip(-2))
    assert sys.modules["restored_mine"].__file__ == str(file) and plugins.loaded() == [plugin]
    assert inspect.getsource(registry.get("op", "upside_down")).endswith("flip(-2))\n"), "tracebacks show its lines"
    with pytest.raises(InputError, match=rf"^plug-in restored_mine.py: .*\(then 000000000000, now {plugin.sha256[:12]}\)"):
        plugins.restore([replace(plugin, sha256="0" * 64)])
    forget("restored_mine")
    with pytest.raises(InputError, match=r"^plug-in restored_mine.py line 2: ZeroDivisionError"):
        plugins.restore([replace(plugin, text="\n1 / 0\n")])


def test_a_module_is_restored_by_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / "importable_mine.py")
    monkeypatch.syspath_prepend(tmp_path)
    plugin = augury.load_plugin("importable_mine")
    forget("importable_mine")
    plugins.restore([replace(plugin, text=None)])
    assert registry.has("op", "upside_down")
    forget("importable_mine")
    with pytest.raises(InputError, match="^plug-in nowhere_mine: there is no module 'nowhere_mine'"):
        plugins.restore([plugins.Plugin("nowhere_mine", "")])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import no_such_dependency\n", "--plugin failing_mine: ModuleNotFoundError: No module named 'no_such_dependency'"),
        ("1 / 0\n", "--plugin failing_mine: ZeroDivisionError: division by zero"),
        ("raise ModuleNotFoundError\n", "--plugin failing_mine: ModuleNotFoundError:"),
    ],
)
def test_a_module_that_fails_is_told_from_one_that_is_not_there(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "failing_mine.py", text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError) as refused:
        augury.load_plugin("failing_mine")
    assert str(refused.value).strip() == message
    sys.modules.pop("failing_mine", None)


def session(*cells: str) -> str:
    """The hash of what these cells of a notebook register."""
    registry.withdraw("__main__")
    for cell in cells:
        exec(cell, {"__name__": "__main__", "augury": augury})
    return plugins.plugin_of("__main__").sha256


def test_the_hash_of_a_session_is_that_of_its_functions() -> None:
    """Catches a change that goes unnoticed, and an order of cells that counts."""
    one = 'augury.register("op", "cell_one")(lambda: 1)'
    two, other = one.replace("one", "two"), one.replace("lambda: 1", "lambda: 2")
    assert session(one, two) == session(two, one) != session(one)
    assert session(one) != session(other) and session(one) == session(one)
    assert session(one) != session(one.replace("lambda: 1", "lambda: abs(1)"))


def test_a_module_without_a_file_has_no_text() -> None:
    assert (plugins.plugin_of("sys").text, plugins.plugin_of("sys").file) == ("", "")


@pytest.mark.parametrize("name", ["a\0b.py", "x" * 300, "folder/" + "x" * 300 + ".py"])
def test_what_no_file_can_be_called_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="^--plugin: expected a file's path or a module's name$"):
        augury.load_plugin(name)


def test_a_name_needs_no_source_and_has_its_first_line() -> None:
    """A script's spawned processes call it `__mp_main__`; it is the session there too."""

    def op() -> None:
        """Mine.

        More of it.
        """

    op.__module__ = "__mp_main__"
    registry.register("op", "mine_spawned")(op)
    assert registry.outside() == [registry.Registration("op", "mine_spawned", "", "Mine.", "__main__")]


def test_the_index_reads_what_stands_in_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a decorator that is passed over because of another above it, and a part of an entry that is lost."""
    folder = tmp_path / "deep"
    folder.mkdir()
    written(tmp_path / "plain.py", "def nothing():\n    '''Nothing.'''\n")
    written(
        folder / "mine.py",
        "import functools\n\n@functools.cache\ndef helper():\n    '''None of them.'''\n\n"
        '@functools.cache\n@register("op", "first", source="A 2020")\ndef first():\n    """One line.\n\n    More.\n    """\n\n'
        '@other("op", "wrong", source="s")\n@register("policy", "second", note="n", source="B 2021")\n'
        'class Second:\n    """Two."""\n',
    )
    recipes = tmp_path / "recipes"
    recipes.mkdir()
    written(recipes / "table_1.toml", 'title = "Table 1"\nsource = "C 2022"\nrows_of = 3\n\nrows = not TOML\n')
    monkeypatch.setattr(index, "PACKAGE", tmp_path)
    found = index.index.__wrapped__()
    assert found == {
        ("op", "first"): registry.Registration("op", "first", "A 2020", "One line.", "augury.deep.mine"),
        ("policy", "second"): registry.Registration("policy", "second", "B 2021", "Two.", "augury.deep.mine"),
        ("recipe", "table_1"): registry.Registration("recipe", "table_1", "C 2022", "Table 1", "augury.recipes"),
    }
    written(recipes / "table_2.toml", "rows_of = 3\n")
    bare = index.index.__wrapped__()["recipe", "table_2"]
    assert (bare.source, bare.summary) == ("", "")
    with pytest.raises(InputError, match="^kind: must be one of op, preset, policy, .*, recipe, got 'operation'$"):
        index.kind_of("operation")
