"""Rules of names: what takes one, what gives it back, the words of every refusal; installed packages, and the index."""

import importlib.metadata
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from card_facts import forgetting_new_modules
from plugin_helpers import OP, made_by, refusal, written

from augury.core import index, plugins, registry
from augury.core.plugins import Plugin


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    with forgetting_new_modules(lambda name: name.startswith("rules_")):
        yield


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
