"""One grammar for text, YAML and Python: values round-trip, and errors are one line."""

import math
from typing import Annotated, Any, Literal

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import steady

import augury
from augury.core.errors import InputError
from augury.core.options import Chain, Interval, Spec, bind, chain_from, convert, parse_chain, parse_list, parse_spec, text_from

names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(lambda w: w not in ("true", "false", "none", "null", "inf"))
words = st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), max_size=6).filter(lambda t: '"' not in t or "'" not in t)
numbers = st.one_of(st.integers(-(10**12), 10**12), st.floats(allow_nan=False))
plain = st.one_of(st.none(), st.booleans(), numbers, names, words)
specs = st.deferred(
    lambda: st.builds(Spec, names, st.dictionaries(names, values, max_size=3), st.lists(values, max_size=2).map(tuple)),
)
values: st.SearchStrategy[Any] = st.deferred(
    lambda: st.one_of(
        plain,
        st.lists(plain, max_size=3),
        specs.filter(lambda s: bool(s.options or s.first)),
        st.builds(Chain, st.lists(specs, min_size=2, max_size=3).map(tuple)),
    )
)
chains = st.builds(Chain, st.lists(specs, min_size=1, max_size=3).map(tuple))


@settings(steady, max_examples=60)
@given(chains)
def test_what_is_written_is_read_back(chain: Chain) -> None:
    # Pipelines are pickled and runs are recorded by this text. Catches digits that are cut, and words that need quotes.
    assert parse_chain(str(chain), "test") == chain


@settings(steady, max_examples=20)
@given(st.lists(chains, min_size=1, max_size=3))
def test_lists_are_parted_by_commas(found: list[Chain]) -> None:
    assert parse_list(",".join(map(str, found)), "test") == found
    assert parse_list(text_from(list(found), "test", several=True), "test") == found


def as_yaml(value: Any) -> Any:
    """The nested mapping that a YAML file would hold."""
    if isinstance(value, Chain):
        return [as_yaml(spec) for spec in value.stages]
    if isinstance(value, Spec):
        return {value.name: {k: str(v) if isinstance(v, Spec) else as_yaml(v) for k, v in value.options.items()}}
    return value


yaml_values = st.one_of(numbers, names, st.booleans(), st.lists(numbers, max_size=3))
keyed = st.builds(Spec, names, st.dictionaries(names, yaml_values, max_size=3))


@steady
@given(st.builds(Chain, st.lists(keyed, min_size=1, max_size=3).map(tuple)))
def test_yaml_says_the_same_as_text(chain: Chain) -> None:
    written = yaml.safe_dump(as_yaml(chain), sort_keys=False)
    assert chain_from(yaml.safe_load(written), "test") == chain
    assert text_from(yaml.safe_load(written), "test") == str(chain)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("[crop, flip, {cutout: {length: 8}}]", "crop+flip+cutout(length=8)"),
        ("crop+flip", "crop+flip"),
        ("{cutout: 8}", "cutout(8)"),
        ("{cutout: }", "cutout"),
        ("{rotate: {degrees: 'uniform(-15, 15)'}}", "rotate(degrees=uniform(-15, 15))"),
        ("{keep: {augment: {cutout: {length: 8}}, tau: 0.6}}", "keep(augment=cutout(length=8), tau=0.6)"),
        ("[[crop, flip], none]", "crop+flip+none"),
        ("{rotate: {degrees: [1, 2.5]}}", "rotate(degrees=[1, 2.5])"),
        ("", "none"),
    ],
)
def test_yaml_forms_and_their_text(value: str, text: str) -> None:
    chain = chain_from(yaml.safe_load(value), "test")
    assert chain == parse_chain(text, "test")
    assert parse_chain(str(chain), "test") == chain


def test_an_empty_chain_is_written_as_none() -> None:
    assert str(chain_from([], "test")) == "none"


@pytest.mark.parametrize("value", ["3", "{a: 1, b: 2}", "[3]", "{a: {b: {c: 1, d: 2}}}", "2.5", "true", "{crop: {padding: 'a('}}"])
def test_yaml_that_is_no_chain_is_refused(value: str) -> None:
    with pytest.raises(InputError, match="^test"):
        text_from(yaml.safe_load(value), "test")


@pytest.mark.parametrize(
    ("text", "value"),
    [("8", 8), ("-3", -3), ("0.5", 0.5), ("1e-3", 1e-3), ("1e+3", 1e3), (".5", 0.5), ("-.5e2", -50.0), ("inf", math.inf)]
    + [("-inf", -math.inf), ("true", True), ("False", False), ("none", None), ("bilinear", "bilinear"), ("'a b'", "a b")]
    + [("[]", []), ("[1, a]", [1, "a"]), ("a(1)", Spec("a", {}, (1,))), ("'8'", "8"), ("'true'", "true")]
    + [("hf:owner/name", "hf:owner/name"), ("x+y", Chain((Spec("x"), Spec("y")))), ('"it\'s"', "it's")],
)
def test_words_of_the_grammar(text: str, value: Any) -> None:
    found = parse_spec(f"name( key = {text} )", "test").options["key"]
    assert found == value and type(found) is type(value)


@steady
@given(st.text(max_size=30))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    for read in (parse_chain, parse_list, parse_spec):
        try:
            read(text, "test")
        except InputError as error:
            assert str(error).startswith("test") and len(str(error).splitlines()) == 1


alphabet = ["(", ")", "[", "]", "+", ",", "=", " ", '"', "'", "crop", "cutout", "rotate", "length", "degrees", "p", "fill", "mixup"]
alphabet += ["uniform", "beta", "1", "-5", "0.5", "1e9", "inf", "none", "true", "randaugment", "keep", "alpha", "-", "\n"]


@steady
@given(st.lists(st.sampled_from(alphabet), max_size=12).map("".join))
def test_text_made_of_the_grammars_words_builds_or_is_refused(text: str) -> None:
    try:
        augury.pipeline(text)
    except InputError as error:
        assert len(str(error).splitlines()) == 1


@pytest.mark.parametrize(
    "text",
    ["crop(" * 5000, "x([" * 4000, "x(a=" * 4000, "cutout(length=" + "9" * 400 + ")", "cutout(length=" + "9" * 5000 + ")"]
    + ["cutout(length=99999999999999999999)", "crop(padding=1e300)", "rotate(degrees=" + "9" * 400 + ")", "mixup(alpha=inf)"]
    + ["rotate(degrees=nan)", "rotate(p=nan)", "flip(p=1e400)"],
)
def test_hostile_text_is_refused_in_one_line(text: str) -> None:
    # Catches Python's own limits (digits of an int, recursion) coming through as other errors.
    with pytest.raises(InputError) as caught:
        augury.pipeline(text)
    assert len(str(caught.value).splitlines()) == 1 and type(caught.value) is InputError


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("crop(", "the text ends"),
        ("crop)", "found ')'"),
        ("crop+", "a name expected"),
        ("a(b=)", "a value expected"),
        ("a(b=1, b=2)", "'b' twice"),
        ("a(b c)", "',' or ')' expected"),
        ("a(b=[1, 2)", "',' or ']' expected"),
        ("", "a name expected"),
        ("a,b", "is a list; one chain is expected"),
        ("a]b", "',' or '+' expected, found ']b'"),
    ],
)
def test_refusals_name_the_place(text: str, part: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_chain(text, "--augment")
    assert str(caught.value).startswith("--augment") and part in str(caught.value)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("rotat", "did you mean 'rotate'"),
        ("cutout(lenght=3)", "did you mean 'length'"),
        ("randaugment(magnitud=3)", "did you mean 'magnitude'"),
        ("rotate(degree=3)", "did you mean 'degrees'"),
        ("flip(prob=1)", "p"),
        ("flip(p=2)", "from 0 to 1"),
        ("randaugment(num_ops=0)", "from 1 to 16"),
        ("randaugment(num_ops=1.5)", "a whole number"),
        ("rotate(interpolation=cubic)", "one of nearest, bilinear"),
        ("posterize(bits=9)", "from 0 to 8"),
        ("posterize(bits=uniform(0, 9))", "from 0 to 8"),
        ("flip(3)", "without a key"),
        ("rotate(degrees=uniform(3, 1))", "must not be above"),
    ],
)
def test_unknown_options_and_ranges_are_refused_with_the_nearest(text: str, part: str) -> None:
    with pytest.raises(InputError) as caught:
        augury.pipeline(text)
    assert part in str(caught.value) and len(str(caught.value).splitlines()) == 1


def factory(
    *,
    count: Annotated[int, Interval(1, 9)] = 1,
    rate: Annotated[float, Interval(0)] = 0.5,
    way: Literal["near", "far"] = "near",
    size: Annotated[int, Interval(2)] | None = None,
    inner: Chain | None = None,
    one: Spec | None = None,
    word: str = "a",
    flag: bool = False,
    several: tuple[float, ...] = (),
) -> None:
    """A factory with an option of every kind."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("f(3)", {"count": 3}),
        ("f(count=3.0)", {"count": 3}),
        ("f(rate=2)", {"rate": 2.0}),
        ("f(way=far)", {"way": "far"}),
        ("f(size=none)", {"size": None}),
        ("f(size=2)", {"size": 2}),
        ("f(inner=a+b)", {"inner": Chain((Spec("a"), Spec("b")))}),
        ("f(inner=a)", {"inner": Chain((Spec("a"),))}),
        ("f(one=a(1))", {"one": Spec("a", {}, (1,))}),
        ("f(one=a)", {"one": Spec("a")}),
        ("f(word=7)", {"word": "7"}),
        ("f(flag=true)", {"flag": True}),
        ("f(several=[1, 2])", {"several": (1.0, 2.0)}),
        ("f(several=1)", {"several": (1.0,)}),
    ],
)
def test_options_become_their_declared_types(text: str, expected: dict[str, Any]) -> None:
    found = bind(factory, parse_spec(text, "test"), "test")
    assert found == expected
    assert [type(v) for v in found.values()] == [type(v) for v in expected.values()]


@pytest.mark.parametrize(
    "text",
    ["f(0)", "f(10)", "f(count=true)", "f(count=1.5)", "f(count=a)", "f(rate=-1)", "f(rate=a)", "f(rate=true)", "f(way=middle)"]
    + [
        "f(size=1)",
        "f(size=a)",
        "f(one=a+b)",
        "f(flag=1)",
        "f(several=[a])",
        "f(1, 2)",
        "f(1, count=2)",
        "f(other=1)",
        "f(word=none)",
    ]
    + ["f(inner=3)", "f(count=none)", "f(rate=none)", "f(rate=inf)", "f(count=x(1))", "f(count=[1])"],
)
def test_values_of_another_kind_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="^test: f") as caught:
        bind(factory, parse_spec(text, "test"), "test")
    assert len(str(caught.value).splitlines()) == 1


def test_an_option_that_must_be_given_is_asked_for() -> None:
    def needs(*, width: int) -> None: ...

    with pytest.raises(InputError, match="needs the option 'width'"):
        bind(needs, Spec("f"), "test")


@steady
@given(values, st.sampled_from([int, float, bool, str, Chain, Spec, int | None, Literal["a", 1], tuple[float, ...], Any]))
def test_any_value_converts_or_is_refused(value: Any, hint: Any) -> None:
    try:
        convert(value, hint, "test")
    except InputError as error:
        assert str(error).startswith("test") and len(str(error).splitlines()) == 1


@pytest.mark.parametrize(
    ("interval", "text"),
    [(Interval(0, 1), "from 0 to 1"), (Interval(2), "at least 2"), (Interval(high=3), "at most 3")],
)
def test_intervals_are_closed_and_say_what_they_hold(interval: Interval, text: str) -> None:
    assert str(interval) == text
    low, high = max(interval.low, -9.0), min(interval.high, 9.0)
    assert low in interval and high in interval
    assert math.nan not in interval and math.inf not in interval and -math.inf not in interval
    assert Interval().low not in Interval() and 5 in Interval()
