"""Rules of plugins: how one is called, loaded and recorded, and the words of every refusal."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from card_facts import forgetting_new_modules
from plugin_helpers import OP, made_by, refusal, written

import augury
from augury.core import importing, plugins, registry
from augury.core.errors import InputError
from augury.core.plugins import Plugin


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    with forgetting_new_modules(lambda name: name.startswith("rules_")):
        yield


class TestLabels:
    def test_a_plugin_is_called_by_its_file_or_its_module(self) -> None:
        assert Plugin("mine", "0", "/a/folder/mine.py", "text").label == "mine.py"
        assert Plugin("mine.ops", "0", "/a/folder/mine").label == "mine.ops"
        assert Plugin("__main__", "0").label == "this session"


class TestLoading:
    @pytest.mark.parametrize("wrong", [3, None, ["a.py"]])
    def test_a_plugin_is_a_path_or_a_name(self, wrong: Any) -> None:
        assert refusal(augury.load_plugin, wrong) == f"load_plugin: a file's path or a module's name, got {type(wrong).__name__}"

    def test_paths_that_no_system_has_are_refused(self) -> None:
        class Bytes(os.PathLike):  # type: ignore[type-arg]
            def __fspath__(self) -> bytes:
                return b"mine.py"

        for wrong in (Bytes(), "a\0.py", "x" * 256, f"{'y' * 256}/mine.py"):
            assert refusal(augury.load_plugin, wrong) == "--plugin: expected a file's path or a module's name"
        longest = "x" * 252 + ".py"
        assert refusal(augury.load_plugin, longest) == f"--plugin {longest}: no such file"
        form = "expected a Python file such as mine.py, or the name of a module"
        for wrong in ("a-b", "a..b", "1a", "a.1b", ".a", "a.", "", "a b"):
            assert refusal(augury.load_plugin, wrong) == f"--plugin {wrong}: {form}"

    def test_a_file_of_any_ending_is_run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = written(tmp_path / "rules_text.txt", OP.replace("NAME", "of_a_text"))
        monkeypatch.setenv("HOME", str(tmp_path))
        plugin = augury.load_plugin("~/rules_text.txt")
        assert plugin == Plugin("rules_text", plugin.sha256, str(file), file.read_text()) and registry.has("op", "of_a_text")
        assert plugins.loaded() == [plugin] == plugins.used_in("of_a_text") and plugins.used_in("of_a_texts") == []

    def test_a_module_that_registers_nothing_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.syspath_prepend(tmp_path)
        words = 'registers no name; put for example `@augury.register("op", "NAME")` above a function'
        for name in ("rules_empty", "rules_emptier"):
            written(tmp_path / f"{name}.py", "x = 1\n")
            assert refusal(augury.load_plugin, name) == f"--plugin {name}: {words}"
        written(tmp_path / "rules_empty_not.py", OP.replace("NAME", "of_another"))
        augury.load_plugin("rules_empty_not")
        assert words in refusal(augury.load_plugin, "rules_empty"), "a module whose name begins alike is another one"

    def test_a_package_registers_in_its_parts(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = tmp_path / "rules_package"
        written(folder / "__init__.py", "from rules_package.deep import ops\n")
        written(folder / "deep" / "__init__.py", "")
        written(folder / "deep" / "ops.py", OP.replace("NAME", "of_a_package"))
        monkeypatch.syspath_prepend(tmp_path)
        plugin = augury.load_plugin("rules_package")
        assert plugin == Plugin("rules_package", plugin.sha256, str(folder)) and plugin.label == "rules_package"
        assert {plugins.plugin_of(name).sha256 for name in ("rules_package.deep", "rules_package.deep.ops")} == {plugin.sha256}
        before = plugin.sha256
        written(folder / "notes.txt", "not code")
        assert plugins.plugin_of("rules_package").sha256 == before
        (folder / "deep" / "ops.py").rename(folder / "ops.py")
        assert plugins.plugin_of("rules_package").sha256 != before, "a file in another place is another package"

    def test_a_file_must_not_hide_another_module(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert "rename the file; there is another module called 'json'" in refusal(
            augury.load_plugin, written(tmp_path / "json.py", "")
        )
        told = "rename the file; 'not-one' cannot be a module's name (letters, digits and underscores)"
        assert told in refusal(augury.load_plugin, written(tmp_path / "not-one.py", ""))
        (tmp_path / "here" / "rules_folder").mkdir(parents=True)
        monkeypatch.syspath_prepend(tmp_path / "here")
        hidden = written(tmp_path / "here" / "rules_hidden.py", OP.replace("NAME", "not_imported"))
        told = "there is another module called 'rules_hidden'"
        assert told in refusal(augury.load_plugin, written(tmp_path / "rules_hidden.py", "")), "even if nobody has imported it"
        assert augury.load_plugin(hidden).module == "rules_hidden"
        file = written(tmp_path / "rules_folder.py", OP.replace("NAME", "beside_a_folder"))
        assert augury.load_plugin(file).module == "rules_folder", "a folder without Python files is no module"
        other = written(tmp_path / "there" / "rules_folder.py", OP)
        assert "there is another module called 'rules_folder'" in refusal(augury.load_plugin, other)

    def test_a_file_that_fails_leaves_no_module(self, tmp_path: Path) -> None:
        file = written(tmp_path / "rules_fails.py", "import augury\n\nraise KeyError('x')\n")
        assert refusal(augury.load_plugin, file) == f"--plugin {file} line 3: KeyError: 'x'" and "rules_fails" not in sys.modules
        written(file, OP.replace("NAME", "mended"))
        augury.load_plugin(file)
        written(file, OP.replace("NAME", "mended") + "\n\n")
        augury.load_plugin(file)
        module = sys.modules["rules_fails"]
        assert module.__file__ == str(file), "also of a text that is run again"
        written(file, "def broken(:\n")
        assert refusal(augury.load_plugin, file).startswith(f"--plugin {file} line 1: SyntaxError: ")
        assert sys.modules["rules_fails"] is module and registry.has("op", "mended")


class TestRecords:
    def test_a_record_is_a_mapping_of_loaded_plugins(self, tmp_path: Path) -> None:
        plugin = augury.load_plugin(written(tmp_path / "rules_recorded.py", OP.replace("NAME", "on_record")))
        plugins.check({}, "FILE")
        plugins.check({"rules_recorded": f"sha256:{plugin.sha256}"}, "FILE")
        for wrong in (None, [], "rules_recorded"):
            assert refusal(plugins.check, wrong, "FILE") == "FILE: plugins: expected `module: sha256:...` lines"
        assert refusal(plugins.check, {"nowhere": "sha256:0"}, "FILE") == (
            "FILE: uses the plug-in nowhere; add --plugin with its file or module, as `--plugin nowhere.py`"
        )
        assert refusal(plugins.check, {"__main__": "sha256:0"}, "FILE") == (
            "FILE: uses names that were defined in a notebook or script; move them to a file and pass it with --plugin"
        )
        assert refusal(plugins.check, {"rules_recorded": "sha256:" + "0" * 64}, "FILE") == (
            f"FILE: the plug-in rules_recorded is not the one that was used (then sha256:000000000000..., now sha256:"
            f"{plugin.sha256[:12]}...); pass that version with --plugin, or remove its line under `plugins` to continue with "
            "this one"
        )

    def test_names_are_looked_for_in_every_text(self, tmp_path: Path) -> None:
        one, two = (
            augury.load_plugin(written(tmp_path / f"rules_{n}.py", OP.replace("NAME", f"number_{n}"))) for n in ("one", "two")
        )
        policy = written(tmp_path / "P.YML", "augury_policy: 1\nx: number_two\n")
        for values in ("crop+number_one(p=1)", ["none", ("number_one",)], {"number_one": 3}, {"a": {"b": ["number_one"]}}):
            assert plugins.used_in(values) == [one]
        assert plugins.used_in({"augment": str(policy)}) == [two] and plugins.used_in(f"number_one+{policy}") == [one, two]
        for values in (None, 3, "number", "number_one_", str(tmp_path / "absent.yaml"), "folder/number_one"):
            assert plugins.used_in(values) == []
        assert plugins.recorded(f"{policy}") == {"rules_two": f"sha256:{two.sha256}"} and plugins.portable([one, two], "x") == [
            one,
            two,
        ]
        assert plugins.loaded() == [one, two]

    def test_a_sessions_objects_without_code_count_by_their_names(self) -> None:
        class Made:
            """Without source and without code."""

        Made.__module__ = "__main__"
        made = Made()
        registry.register("measurement", "an_object")(made)
        alone = plugins.plugin_of("__main__").sha256
        registry.register("op", "cell")(eval("lambda: 1", {"__name__": "__main__"}))
        assert len(alone) == 64 and plugins.plugin_of("__main__").sha256 != alone

    def test_names_of_a_session_cannot_be_sent(self) -> None:
        for name in ("cell_b", "cell_a"):
            registry.register("op", name)(made_by("__main__", name))
        found = plugins.used_in("cell_a+cell_b")
        assert [each.module for each in found] == ["__main__"] and found[0].text is None and found[0].file == ""
        assert refusal(plugins.portable, found, "--workers") == (
            "--workers: cell_b, cell_a: defined in a notebook or script; move it to a file and load that as a plug-in"
        )


class TestFailures:
    def test_a_failure_is_one_line_with_its_place(self) -> None:
        try:
            exec(compile("\n\nint('x\\ny')", "/there/mine.py", "exec"), {})
        except ValueError as error:
            told = str(importing.failed(error, "--plugin mine.py", "/there/mine.py"))
            assert told == r"--plugin mine.py line 3: ValueError: invalid literal for int() with base 10: 'x\ny'"
            assert str(importing.failed(error, "w", None)) == r"w: ValueError: invalid literal for int() with base 10: 'x\ny'"
            assert " line " not in str(importing.failed(error, "w", "/there/other.py"))
        assert str(importing.failed(InputError("a  b\n c"), "w", None)) == "w: a b c"
        assert (
            str(importing.failed(SyntaxError("odd", ("f.py", 7, 1, "x")), "w", None)) == "w line 7: SyntaxError: odd (f.py, line 7)"
        )

    def test_the_line_is_the_deepest_in_the_file(self) -> None:
        try:
            exec(compile("def f():\n    1 / 0\n\n\nf()\n", "/there/mine.py", "exec"), {})
        except ZeroDivisionError as error:
            assert str(importing.failed(error, "w", "/there/mine.py")) == "w line 2: ZeroDivisionError: division by zero"

    def test_a_module_that_is_not_there_is_told_from_one_that_it_lacks(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.syspath_prepend(tmp_path)
        absent = "there is no module {0!r}; for a file, give its path, as {0}.py"
        for name in ("rules_absent", "rules_absent.deep"):
            assert refusal(importing.import_plugin, name, "w") == f"w: {absent.format(name)}"
        written(tmp_path / "rules_lacks.py", "import rules_lack\n")
        assert refusal(importing.import_plugin, "rules_lacks", "w") == "w: ModuleNotFoundError: No module named 'rules_lack'"


def test_a_module_without_a_file_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rules_made", ModuleType("rules_made"))
    found = plugins.plugin_of("rules_made")
    assert (found.module, found.file, found.text) == ("rules_made", "", "") and len(found.sha256) == 64
    absent = plugins.plugin_of("rules_not_there")
    assert (absent.file, absent.text) == ("", None)
