"""Rules of names: what takes one, what gives it back, and the words of every refusal; installed packages in this process."""

import importlib.metadata
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from card_facts import forgetting_new_modules

import augury
from augury.core import importing, index, plugins, registry
from augury.core.errors import InputError
from augury.core.plugins import Plugin

OP = '''import augury


@augury.register("op", "NAME")
def made() -> augury.Op:
    """Made."""
    return augury.Op("NAME", "map", lambda images, values, size: images)
'''


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    with forgetting_new_modules(lambda name: name.startswith("rules_")):
        yield


def refusal(function: Callable[..., object], *given: Any) -> str:
    with pytest.raises(InputError) as refused:
        function(*given)
    return str(refused.value)


def made_by(module: str, qualified: str = "made") -> Callable[[], None]:
    """A function as if it were defined there."""

    def function() -> None:
        """Made."""

    function.__module__, function.__qualname__ = module, qualified
    return function


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


class TestUnknownNames:
    def test_the_nearest_or_all_that_are_known(self) -> None:
        assert registry.unknown("thing", "crp", ["crop", "flip"]) == "unknown thing 'crp'; did you mean 'crop'?"
        assert registry.unknown("thing", "CROP", ["Crop", "flip"]) == "unknown thing 'CROP'; did you mean 'Crop'?"
        assert registry.unknown("thing", "zz", ["crop", "flip"]) == "unknown thing 'zz'; known: crop, flip"
        assert registry.unknown("thing", "zz", []) == "unknown thing 'zz'; known: none"

    def test_a_long_name_is_cut(self) -> None:
        assert registry.unknown("thing", "z" * 60, ["crop"]) == f"unknown thing '{'z' * 60}'; known: crop"
        assert registry.unknown("thing", "z" * 61, ["crop"]) == f"unknown thing '{'z' * 60}...'; known: crop"

    @pytest.mark.parametrize("what", ["op", "preset", "policy", "augmentation", "operation", "pipeline"])
    def test_another_librarys_name_is_an_augmentation(self, what: str) -> None:
        said = registry.unknown(what, "CutOut", registry.names("op"))
        assert said.startswith(f"unknown {what} 'CutOut'; did you mean cutout(fraction=0.5) (composer's CutOut)")
        assert "composer" not in registry.unknown("strategy", "CutOut", ["cutout"])

    def test_kinds_are_refused_by_name(self) -> None:
        assert refusal(registry.register, "strateg", "x") == "register: unknown kind 'strateg'; did you mean 'strategy'?"
        assert refusal(registry.names, "strateg").startswith("kind: must be one of op, preset")
        assert index.kind_of("pipeline") == "preset" and all(index.kind_of(kind) == kind for kind in index.KINDS)
        assert "got 3" in refusal(index.kind_of, 3) and "got ['op']" in refusal(index.kind_of, ["op"])


class TestTakenNames:
    @pytest.mark.parametrize("name", ["Mine", "my-op", "1st", "", "_mine", "a b", "mine\n", "größe"])
    def test_a_name_is_of_lower_case_letters_digits_and_underscores(self, name: str) -> None:
        told = f"register: {name!r} must be lower-case letters, digits and underscores, for example my_policy"
        assert refusal(registry.register("policy", name), made_by("mine")) == told
        assert registry.outside() == []

    @pytest.mark.parametrize("kind", ["op", "preset", "policy"])
    def test_augmentations_share_their_names(self, kind: Any) -> None:
        """A chain says a name without its kind. Other kinds have names of their own."""
        for name, other in (("rotate", "op"), ("standard", "preset"), ("randaugment", "policy")):
            told = refusal(registry.register(kind, name), made_by("mine"))
            assert told.startswith(f"register: {other} '{name}' is already registered by augury.augment.")
            assert told.endswith("; choose another name")
        registry.register("strategy", "rotate")(made_by("mine"))
        registry.register(kind, "erm")(made_by("mine"))
        assert registry.has("strategy", "rotate") and registry.has(kind, "erm")
        for again in ("op", "preset", "policy"):
            if again != kind:
                assert f"{kind} 'erm' is already registered by mine" in refusal(registry.register(again, "erm"), made_by("mine"))

    def test_a_file_that_is_run_again_replaces_its_own_names_alone(self) -> None:
        first, second = made_by("mine", "made"), made_by("mine", "made")
        registry.register("op", "mine_once")(first)
        registry.register("op", "mine_once")(second)
        assert registry.get("op", "mine_once") is second
        for other in (made_by("mine", "another"), made_by("yours", "made")):
            assert "op 'mine_once' is already registered by mine; choose" in refusal(registry.register("op", "mine_once"), other)
        assert registry.get("op", "mine_once") is second

    def test_a_notebook_may_define_a_name_by_another_function(self) -> None:
        cells = [made_by("__main__", "one"), made_by("__main__", "two"), made_by("__mp_main__", "three")]
        for cell in cells:
            assert registry.register("op", "of_a_cell")(cell) is cell
        assert registry.get("op", "of_a_cell") is cells[2] and [each.module for each in registry.outside()] == ["__main__"]

    def test_an_object_is_registered_by_its_class(self) -> None:
        class Made:
            """What it does."""

        Made.__module__ = "mine"
        registry.register("measurement", "an_object", source="S 2020")(Made())
        (entry,) = registry.outside()
        assert entry == registry.Registration("measurement", "an_object", "S 2020", "What it does.", "mine") and not entry.own
        placeless = Made()
        placeless.__module__ = None  # type: ignore[assignment]
        registry.register("measurement", "another_object")(placeless)
        assert registry.outside()[1].module == "mine", "of the class, where the object itself names no module"

    def test_the_packages_own_names_are_those_of_the_index(self) -> None:
        rotate = registry.get("op", "rotate")
        assert registry.register("op", "rotate", source="s")(rotate) is rotate and registry.outside() == []
        with pytest.raises(ValueError, match="op 'rotate' is already registered by augury.augment.ops.rotate"):
            registry.register("op", "rotate")(made_by("augury.augment.ops.other"))
        assert registry.get("op", "rotate") is rotate
        assert (
            registry.Registration("op", "a", "", "", "augury").own and not registry.Registration("op", "a", "", "", "augury_x").own
        )


class TestLookingUp:
    def test_entries_are_sorted_by_kind_and_name(self) -> None:
        registry.register("policy", "aaa")(made_by("mine"))
        registry.register("op", "zzz")(made_by("mine"))
        every = registry.entries()
        assert [(registry.KINDS.index(e.kind), e.name) for e in every] == sorted(
            (registry.KINDS.index(e.kind), e.name) for e in every
        )
        assert (
            registry.names("op")[-1] == "zzz" and registry.names("policy")[0] == "aaa" and len(every) > len(registry.entries("op"))
        )
        assert [e.name for e in registry.entries("preset")] == registry.names("pipeline")  # type: ignore[arg-type]

    def test_an_unknown_name_is_refused_with_those_of_its_kind(self) -> None:
        assert refusal(registry.get, "strategy", "emr") == "unknown strategy 'emr'; did you mean 'erm'?"
        assert registry.get("strategy", "erm").__name__ == "erm" and not registry.has("strategy", "rotate")

    def test_a_block_that_fails_leaves_every_name_as_it_was(self) -> None:
        kept, other = made_by("__main__", "kept"), made_by("__main__", "other")
        registry.register("op", "was_there")(kept)
        with pytest.raises(KeyboardInterrupt), registry.all_or_nothing():
            registry.register("op", "was_there")(other)
            registry.register("op", "is_new")(other)
            raise KeyboardInterrupt
        assert registry.get("op", "was_there") is kept and not registry.has("op", "is_new") and len(registry.outside()) == 1
        with registry.all_or_nothing():
            registry.register("op", "is_new")(other)
        assert registry.get("op", "is_new") is other

    def test_a_modules_names_are_withdrawn_and_no_others(self) -> None:
        registry.register("op", "of_mine")(made_by("mine"))
        registry.register("op", "of_yours")(made_by("yours"))
        registry.withdraw("mine")
        assert [each.name for each in registry.outside()] == ["of_yours"]
        assert "unknown op 'of_mine'" in refusal(registry.get, "op", "of_mine")


class TestInstalledPackages:
    """Packages as `importlib.metadata` finds them; `load_installed` is run anew."""

    @pytest.fixture
    def install(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
        points: list[SimpleNamespace] = []
        asked: list[dict[str, str]] = []

        def found(**which: str) -> list[SimpleNamespace]:
            asked.append(which)
            return points

        def add(module: str, text: str, dist: object = SimpleNamespace(name="their-package", version="1.2")) -> None:  # noqa: B008
            written(tmp_path / f"{module.partition('.')[0]}.py", text)
            points.append(SimpleNamespace(module=module, name=f"point {module}", dist=dist))

        monkeypatch.setattr(importlib.metadata, "entry_points", found)
        monkeypatch.syspath_prepend(tmp_path)
        for cached in (registry.load_installed, registry.distributions):
            cached.cache_clear()
        yield add
        for cached in (registry.load_installed, registry.distributions):
            cached.cache_clear()
        assert all(which == {"group": "augury.plugins"} for which in asked)

    def test_their_names_are_found_once_one_is_looked_up_that_is_not_augurys(self, install: Any) -> None:
        install("rules_theirs", OP.replace("NAME", "their_op"))
        install("rules_others", OP.replace("NAME", "other_op"), None)
        assert registry.has("op", "rotate") and not registry.has("policy", "rotate")
        assert registry.outside() == [], "nothing is imported for Augury's own names, nor for one of another kind of augmentation"
        assert registry.has("op", "their_op") and registry.get("op", "other_op").__module__ == "rules_others"
        assert plugins.plugin_of("rules_theirs").label == "their-package 1.2"
        assert plugins.plugin_of("rules_others").label == "point rules_others"
        assert registry.distributions() == {"rules_theirs": "their-package 1.2", "rules_others": "point rules_others"}

    def test_lists_have_them_too(self, install: Any) -> None:
        install("rules_listed", OP.replace("NAME", "their_op"))
        assert "their_op" in registry.names("op")

    def test_one_that_fails_is_named_and_leaves_nothing(self, install: Any) -> None:
        install("rules_failing", OP.replace("NAME", "their_op") + "1 / 0\n")
        told = "the installed plug-in their-package 1.2: ZeroDivisionError: division by zero"
        assert refusal(registry.has, "op", "nobodys") == told and registry.outside() == []

    def test_a_module_within_a_package_is_the_packages(self, install: Any) -> None:
        install("rules_deep.ops", "")
        assert registry.distributions() == {"rules_deep": "their-package 1.2"}
        assert Plugin("rules_deep.other", "0").label == "their-package 1.2"


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


class TestTheIndex:
    def read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **files: str) -> Any:
        for name, text in files.items():
            written(tmp_path / f"{name}.py", text)
        monkeypatch.setattr(index, "PACKAGE", tmp_path)
        return index.index.__wrapped__()

    def test_a_name_stands_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        text = '@register("op", "same", source="s")\ndef f():\n    """F."""\n'
        with pytest.raises(ValueError, match="^op 'same' is registered twice, last in augury.two$"):
            self.read(tmp_path, monkeypatch, one=text, two=text)

    @pytest.mark.parametrize("line", ['@register("op", NAME, source="s")', '@register("op", "x")', '@register("op", source="s")'])
    def test_what_is_no_literal_is_refused_with_its_place(self, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        told = r'^augury.one line 4: write `@register\("KIND", "NAME", source="..."\)` with string literals, which the index reads$'
        with pytest.raises(ValueError, match=told):
            self.read(tmp_path, monkeypatch, one=f"import x\n\n\n{line}\ndef f():\n    '''F.'''\n")

    def test_files_without_a_decorator_are_not_parsed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        found = self.read(tmp_path, monkeypatch, one="register( is no decorator here (\n", two="x = 1\n@other\ndef f(): ...\n")
        assert found == {}

    def test_a_function_without_words_has_no_summary(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        text = '@register("pipeline", "plain", source="s")\ndef f(): ...\n\n'
        text += '@register("op", "blank", source="s")\nclass G:\n    """\n    G.\n\n    More."""\n'
        found = self.read(tmp_path, monkeypatch, one=text)
        assert found == {
            ("preset", "plain"): index.Registration("preset", "plain", "s", "", "augury.one"),
            ("op", "blank"): index.Registration("op", "blank", "s", "G.", "augury.one"),
        }

    def test_of_a_recipe_the_head_alone_is_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every command reads the index, and rows are many."""
        head = 'title = "Größe"\nsource = "S 2020"\n'
        written(tmp_path / "recipes" / "table.toml", f"{head}\nrows = [ no TOML\n\nrows_more = none\n")
        found = self.read(tmp_path, monkeypatch)
        assert found == {("recipe", "table"): index.Registration("recipe", "table", "S 2020", "Größe", "augury.recipes")}

    def test_the_first_line_is_what_stands_before_a_break(self) -> None:
        assert [index.first_line(text) for text in (None, "", "  One.  \n\nTwo.", "\n One\n two")] == ["", "", "One.", "One"]


def test_a_module_without_a_file_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rules_made", ModuleType("rules_made"))
    found = plugins.plugin_of("rules_made")
    assert (found.module, found.file, found.text) == ("rules_made", "", "") and len(found.sha256) == 64
    absent = plugins.plugin_of("rules_not_there")
    assert (absent.file, absent.text) == ("", None)
