"""The edges of what texts may hold, the words of refusals, and what a chain's parts say of themselves."""

import math
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml

from augury.core import yaml_text
from augury.core.errors import InputError
from augury.core.flags import flag, flags_of, required
from augury.core.grammar import joined_text, parse_chain, parse_list, parse_spec, renamed, show, text_from, words_in
from augury.core.options import Chain, Interval, Registered, Spec, bind, chain_from, convert
from augury.core.registry import names
from augury.core.yaml_text import DEEPEST, LARGEST, LONGEST_NUMBER, Limits


def refusal(read: Any, *given: Any, **more: Any) -> str:
    with pytest.raises(InputError) as refused:
        read(*given, **more)
    return str(refused.value)


class TestYaml:
    def test_as_many_values_as_the_limit_are_read(self) -> None:
        for text, held in (("a: [1, 2, 3, 4]", 7), ("[1, 2, 3, 4, 5, 6]", 7), ("{a: 1, b: 2, c: 3}", 7)):
            assert yaml_text.load(text, "f", Limits(nodes=held)) == yaml.safe_load(text)
            assert refusal(yaml_text.load, text, "f", Limits(nodes=held - 1)) == f"f line 1: holds more than {held - 1} values"

    def test_aliases_count_as_what_they_stand_for(self) -> None:
        text = "[&a [1, 2], *a]"  # the whole, a list of three and the same again
        assert yaml_text.load(text, "f", Limits(nodes=7)) == [[1, 2], [1, 2]]
        assert refusal(yaml_text.load, text, "f", Limits(nodes=6)) == "f line 1: more than 6 values once aliases are expanded"
        again = "\n- &a {k: 1}\n- {x: *a}\n"
        assert yaml_text.load(again, "f", Limits(nodes=9)) == [{"k": 1}, {"x": {"k": 1}}]
        assert "line 2: more than 8 values once" in refusal(yaml_text.load, again, "f", Limits(nodes=8))

    def test_brackets_may_be_fifty_deep(self) -> None:
        nested = yaml_text.load("[" * DEEPEST + "]" * DEEPEST, "f")
        for _ in range(DEEPEST - 1):
            (nested,) = nested
        assert nested == []
        too_deep = "\n" + "[" * (DEEPEST + 1) + "]" * (DEEPEST + 1)
        assert refusal(yaml_text.load, too_deep, "f") == "f line 2: lists and mappings are nested more than 50 deep"
        assert yaml_text.load("[" + "[], " * 60 + "{}]", "f") == [[]] * 60 + [{}], "beside each other is not within each other"
        beside = "[" + "[], " * 60 + "[" * DEEPEST + "]" * DEEPEST + "]"
        assert "nested more than 50 deep" in refusal(yaml_text.load, beside, "f")

    def test_texts_in_quotes_do_not_count(self) -> None:
        limits = Limits(megabytes=100 / 2**20)
        assert yaml_text.load("a: " + "x" * 97, "f", limits) == {"a": "x" * 97}
        told = refusal(yaml_text.load, "a: " + "x" * 98, "f", limits)
        assert told == "f line 1: more than 9.53674e-05 MB besides texts in quotes"
        assert yaml_text.load(f"a: '{'x' * 500}'\nb: |\n  {'y' * 500}\n", "f", limits) == {"a": "x" * 500, "b": "y" * 500 + "\n"}
        assert "besides texts" in refusal(yaml_text.load, f"a: '{'x' * 500}'\nb: {'y' * 200}", "f", limits)

    def test_a_number_may_have_three_hundred_digits(self) -> None:
        assert yaml_text.load("9" * LONGEST_NUMBER, "f") == int("9" * LONGEST_NUMBER)
        told = "f line 2: a number with 301 digits; at most 300 are accepted"
        assert refusal(yaml_text.load, "a:\n " + "9" * 301, "f") == told
        assert yaml_text.load(f"'{'9' * 301}'", "f") == "9" * 301 and yaml_text.load("x" * 301, "f") == "x" * 301
        assert "301 digits" in refusal(yaml_text.load, f"!!int '{'9' * 301}'", "f")

    @pytest.mark.parametrize("loader", [yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)])
    def test_what_cannot_be_read_is_told_with_its_line_if_it_has_one(self, loader: Any) -> None:
        limits = Limits(loader=loader)
        told = refusal(yaml_text.load, "a: 1\nb: [1", "f", limits)
        assert re.match(r"^f line \d: not readable as YAML \(.*(expected|did not find).*\)$", told)
        nowhere = refusal(yaml_text.load, "a: \x00", "f", limits)
        assert nowhere.startswith("f: not readable as YAML (") or "line 1" in nowhere and "None" not in nowhere
        assert refusal(yaml_text.load, "a: 1\nb: !!python/name:os.system x", "f", limits) == (
            "f line 2: not readable as YAML (a tag, which could execute code; only plain values are read)"
        )
        assert refusal(yaml_text.load, "- 1\n- &a [*a]", "f", limits) == (
            "f line 2: an alias that contains itself; write the value out instead"
        )
        assert refusal(yaml_text.load, "\na: 2024-99-99", "f", limits).startswith("f line 2: not readable as YAML (month must be")

    def test_errors_without_a_place_name_none(self) -> None:
        assert str(yaml_text._refused(ValueError("odd\nmore"), "f")) == "f: not readable as YAML (odd)"
        assert str(yaml_text._refused(ValueError("odd"), "f", 4)) == "f line 4: not readable as YAML (odd)"
        assert str(yaml_text._refused(RecursionError(), "f")) == "f: not readable as YAML (RecursionError)"
        own = InputError("mine")
        assert yaml_text._refused(own, "f") is own

    def test_an_empty_text_is_nothing(self) -> None:
        assert yaml_text.compose("", "f") is None and yaml_text.value_of(None, "f") is None
        assert yaml_text.load("# only this", "f") is None

    def test_a_file_may_have_sixteen_megabytes(self, tmp_path: Path) -> None:
        file = tmp_path / "a.yaml"
        with file.open("wb") as out:
            out.truncate(LARGEST * 2**20)
        assert len(yaml_text.read_text(file, "f")) == LARGEST * 2**20
        with file.open("wb") as out:
            out.truncate(LARGEST * 2**20 + 2**19)
        assert refusal(yaml_text.read_text, str(file), "f") == "f: has 16.5 MB; at most 16 MB are read"


class TestGrammar:
    def test_equal_specs_are_one_key(self) -> None:
        one, other = parse_spec("cutout(length=8, p=0.5)", "t"), Spec("cutout", {"length": 8, "p": 0.5})
        assert one == other and hash(one) == hash(other) and len({one, other, parse_spec("cutout(length=9)", "t")}) == 2
        assert len({hash(Spec(f"s{n}")) for n in range(20)}) > 15

    def test_every_word_of_a_chain_is_found(self) -> None:
        chain = parse_chain("keep(cutout(fill=grey), among=[a, b(c)], n=3, x=true)+d('e f')", "t")
        assert list(words_in(chain)) == ["keep", "a", "b", "c", "cutout", "grey", "d", "e f"]
        assert list(words_in(("x", ["y", Chain((Spec("z"),))]))) == ["x", "y", "z"] and list(words_in(3)) == []

    def test_texts_are_joined_to_one(self) -> None:
        assert joined_text(["crop", "flip(p=1)"]) == "crop+flip(p=1)"
        assert joined_text([]) == "none" and joined_text(["crop", None]) is None

    @pytest.mark.parametrize(
        ("value", "text"),
        [(True, "true"), (False, "false"), (None, "none"), (3, "3"), (0.1, "0.1"), (1 / 3, repr(1 / 3)), (1e22, "1e+22"),
         (math.inf, "inf"), ("a b", '"a b"'), ('"', "'\"'"), ("true", '"true"'), ("-INF", '"-INF"'), ("1e3", '"1e3"'), ("x1", "x1"),
         (100.0, "100"), (-2.0, "-2"),
         ("", '""'), ([1, "a", None], "[1, a, none]"), ((), "[]"), (Spec("a b", {"c d": 1}), '"a b"("c d"=1)')],
    )  # fmt: skip
    def test_values_are_written_as_they_are_read(self, value: object, text: str) -> None:
        assert show(value) == text

    def test_options_of_old_names_are_read_and_give_way_to_the_new(self) -> None:
        assert renamed("mixup", {"keep": 0.5}) == {"weight": 0.5} and renamed("cutout", {"keep": 1}) == {"keep": 1}
        assert renamed("mixup", {"keep": 0.5, "weight": 0.1}) == {"keep": 0.5, "weight": 0.1}
        assert parse_spec("uncertainty(keep=2)", "t").options == {"selected": 2}

    def test_brackets_may_be_twenty_deep(self) -> None:
        assert parse_spec("x(" + "[" * 20 + "]" * 20 + ")", "t").name == "x"
        told = refusal(parse_spec, "x(" + "[" * 21 + "]" * 21 + ")", "t")
        assert "at most 20 levels of brackets expected, found '" in told
        wide = parse_spec("x(" + "[[]], " * 30 + "a=[[]])", "t")
        assert len(wide.first) == 30, "beside each other is not within each other"

    @pytest.mark.parametrize(
        ("read", "text", "told"),
        [
            (parse_chain, "a, b", "t: 'a, b' is a list; one chain is expected (`+` joins stages, `augury compare` takes lists)"),
            (parse_spec, "a+b", "t: 'a+b' is a chain; one name is expected here"),
            (parse_chain, "a(b=1,b=2)", "t: a is given 'b' twice"),
            (parse_chain, "a(1", "t: cannot read 'a(1': ',' or ')' expected, the text ends"),
            (parse_chain, "a([1)", "t: cannot read 'a([1)': ',' or ']' expected, found ')'"),
            (parse_chain, "a(=2)", "t: cannot read 'a(=2)': a value expected, found '=2)'"),
            (parse_list, "a,", "t: cannot read 'a,': a name expected, the text ends"),
            (parse_list, "a b", "t: cannot read 'a b': ',' or '+' expected, found 'b'"),
        ],
    )  # fmt: skip
    def test_refusals_say_what_was_expected_and_found(self, read: Any, text: str, told: str) -> None:
        assert refusal(read, text, "t") == told

    def test_what_is_no_chain_is_named(self) -> None:
        words = "t: expected a name, a list of stages or one {name: options} mapping, found "
        for value in (3, {"a": 1, "b": 2}, True, ("a",)):
            assert refusal(chain_from, value, "t") == words + repr(value)
        assert chain_from(Spec("a"), "t") == Chain((Spec("a"),)) and chain_from(None, "t") == Chain((Spec("none"),))
        chain = Chain((Spec("a"),))
        assert chain_from(chain, "t") is chain

    def test_lists_are_alternatives_only_where_several_are_asked_for(self) -> None:
        assert text_from(["none", ["crop", "flip"]], "t", several=True) == "none,crop+flip"
        assert text_from(["crop", {"cutout": {"length": 8}}], "t") == "crop+cutout(length=8)"
        assert text_from("a,b", "t") == text_from("a,b", "t", several=True) == "a,b"
        assert refusal(text_from, ["crop", 3], "t", several=True).startswith("t: expected a name")
        assert text_from({"keep": [1, {"cutout": None}]}, "t") == "keep([1, cutout])"


class TestOptions:
    @staticmethod
    def two(*, count: Annotated[int, Interval(1, 9)] = 1, way: Annotated[str, Registered("strategy")] = "erm") -> None: ...

    def test_more_values_without_a_key_than_are_taken_are_refused(self) -> None:
        def nothing() -> None: ...

        assert refusal(bind, self.two, Spec("f", {}, (1, 2)), "t") == "t: f takes one value without a key: f(1, 2)"
        assert refusal(bind, nothing, Spec("f", {}, (1,)), "t") == "t: f takes no value without a key: f(1)"
        assert refusal(bind, self.two, Spec("f", {"count": 3}, (1,)), "t") == "t: f is given 'count' twice"
        assert bind(nothing, Spec("f"), "t") == {} and bind(self.two, Spec("f", {}, (4,)), "t") == {"count": 4}

    def test_unknown_options_are_told_the_nearest_or_all(self) -> None:
        def nothing() -> None: ...

        assert refusal(bind, self.two, Spec("f", {"cuont": 1}), "t") == "t: f has no option 'cuont'; did you mean 'count'?"
        assert refusal(bind, self.two, Spec("f", {"zz": 1}), "t") == "t: f has no option 'zz'; its options: count, way"
        assert refusal(bind, nothing, Spec("f", {"zz": 1}), "t") == "t: f has no option 'zz'; its options: none"

    def test_a_word_of_the_registry_must_be_registered_under_its_kind(self) -> None:
        assert bind(self.two, Spec("f", {"way": "ait"}), "t") == {"way": "ait"}
        for unknown in ("nothing", "cutout"):  # a name, but of an operation
            told = f"t: f(way={unknown}) must be one of {', '.join(names('strategy'))}"
            assert refusal(bind, self.two, Spec("f", {"way": unknown}), "t") == told

    def test_whole_numbers_are_those_that_a_double_holds_exactly(self) -> None:
        for good in (0, -7, 120, 2**53 - 1, -(2**53) + 1, 3.0, 1e15):
            found = convert(good, int, "t")
            assert found == good and type(found) is int
        for wrong in (2**53, -(2**53), 2.0**53, 1.5, math.inf, math.nan, True, "3", None):
            assert refusal(convert, wrong, int, "t") == "t must be a whole number"

    def test_numbers_are_finite_in_double_precision_or_infinite_as_such(self) -> None:
        for good in (0, -3, 10**299, int(1e300) - 1, 2.5, 1e308, math.inf, -math.inf):
            found = convert(good, float, "t")
            assert found == float(good) and type(found) is float
        for wrong in (int(1e300), -int(1e300), 10**400, math.nan, True, "2", None):
            assert refusal(convert, wrong, float, "t") == "t must be a number"

    def test_lists_and_tuples_hold_what_they_declare(self) -> None:
        assert convert([1, 2], tuple[float, ...], "t") == (1.0, 2.0) and convert((1, 2), list[int], "t") == [1, 2]
        assert convert([1, "a"], list[Any], "t") == [1, "a"] and convert(7, list[int], "t") == [7]
        assert refusal(convert, [1, "a"], list[int], "t") == "t must be a whole number"
        assert convert([1, "a"], tuple[()], "t") == (1, "a"), "of no declared type, as it stands"

    def test_other_kinds_are_told_by_their_words(self) -> None:
        for hint, words in ((bool, "true or false"), (int, "a whole number"), (float, "a number"), (str, "a word")):
            for value in ([1], {"a": 1}, None):
                assert refusal(convert, value, hint, "t") == f"t must be {words}"
        for hint, words in ((bool, "true or false"), (int, "a whole number"), (float, "a number"), (Path, "Path")):
            assert refusal(convert, Spec("a"), hint, "t") == f"t must be {words}"
        assert convert(Spec("a", {"b": 1}), str, "t") == "a(b=1)" and convert(2.5, str, "t") == "2.5"
        path = Path("x")
        assert convert(path, Path, "t") is path and refusal(convert, 3, Path, "t") == "t must be Path"
        assert refusal(convert, "a+b", Spec, "t") == "t takes one name, not a chain"

    def test_one_of_several_types_is_tried_after_the_other(self) -> None:
        assert convert("near", int | Literal["near"], "t") == "near" and convert(3, int | Literal["near"], "t") == 3
        assert convert(None, int | None, "t") is None and refusal(convert, "x", int | None, "t") == "t must be a whole number"
        assert convert(Spec("near"), Literal["near", "far"], "t") == "near"
        for wrong in (Spec("near", {"a": 1}), Spec("near", {}, (1,)), "middle"):
            assert refusal(convert, wrong, Literal["near", "far"], "t") == "t must be one of near, far"
        assert refusal(convert, 10, Annotated[int, Interval(1, 9)], "t") == "t must be from 1 to 9"


class TestFlags:
    def test_a_field_keeps_its_default_and_its_words(self) -> None:
        """Made within the test: what a class says of its fields is run once, as the class is made."""

        @dataclass(frozen=True)
        class Made:
            needed: Path = required("Files", "where", value="FILE")
            plain: int = required("Files", "how many")
            rate: float = flag(0.25, "Rates", "how much", value="SHARE")
            more: tuple[str, ...] = flag((), "Rates", "which", unset="none of them")
            where: Path | None = flag(None, "Files", "there")
            long: Literal["one way", "another way", "a third way of all"] = flag("one way", "Rates", "the way")
            short: Literal["a"] = flag("a", "Rates", "it")
            many: Literal["a fairly long word", "and another long one"] = flag("and another long one", "Rates", "a", value="W")
            number: Literal[11111111111111111, 2222222222222222222] | None = flag(None, "Rates", "n")
            silent: int = 3

        made = Made(Path("x"), 3)
        assert [one.default for one in flags_of(Made)][:2] == ["", ""], "what must be given has no default"
        assert (made.rate, made.more, made.where, made.long) == (0.25, (), None, "one way")
        assert {part.name for part in fields(Made)} == {*vars(made)}
        found = [(one.option, one.group, one.value, one.help) for one in flags_of(Made, {"where": Path("y"), "rate": 1e-9})]
        assert found == [
            ("--needed", "Files", "FILE", "where"),
            ("--plain", "Files", "N", "how many"),
            ("--rate", "Rates", "SHARE", "how much (default: 1e-09)"),
            ("--more", "Rates", "NAME,NAME,...", "which (default: none of them)"),
            ("--where", "Files", "VALUE", "there (default: y)"),
            ("--long", "Rates", "NAME", "the way: one way, another way or a third way of all (default: one way)"),
            ("--short", "Rates", "a", "it (default: a)"),
            ("--many", "Rates", "W", "a (default: and another long one)"),
            ("--number", "Rates", "NAME", "n: 11111111111111111 or 2222222222222222222"),
        ]

    def test_choices_stand_beside_a_flag_up_to_34_characters(self) -> None:
        @dataclass
        class Made:
            fits: Literal["a234567890123456", "b2345678901234567"] = flag("a234567890123456", "G", "t")
            beyond: Literal["a2345678901234567", "b2345678901234567"] = flag("a2345678901234567", "G", "t")
            on: bool = flag(False, "G", "t")
            under_scored: str = flag("x", "G", "t")
            alone: Literal["a word that is longer than 34 characters"] | None = flag(None, "G", "t")
            share: Annotated[float, Interval(0)] | None = flag(2.0, "G", "t")

        assert {one.default for one in flags_of(Made) if one.name == "alone"} == {""}
        assert [(one.option, one.value, one.help) for one in flags_of(Made)] == [
            ("--fits", "a234567890123456|b2345678901234567", "t (default: a234567890123456)"),
            ("--beyond", "NAME", "t: a2345678901234567 or b2345678901234567 (default: a2345678901234567)"),
            ("--on", "true|false", "t (default: false)"),
            ("--under-scored", "NAME", "t (default: x)"),
            ("--alone", "NAME", "t: a word that is longer than 34 characters"),
            ("--share", "X", "t (default: 2)"),
        ]
