"""Laws have the distribution they declare, against SciPy's; their densities are its derivatives."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from card_facts import law_text
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import steady
from scipy import stats
from torch import Tensor

from augury.core import laws
from augury.core.errors import InputError
from augury.core.laws import Beta, Choice, Constant, Linear, LogUniform, Uniform, law_from, law_to_grammar
from augury.core.levels import Ladder, Levels, Stepped
from augury.core.noise import Noise
from augury.core.options import Interval, parse_spec

N = 20000
U = Noise.of(0, torch.arange(N)).uniform(1)[:, 0]
FULL = torch.ones(N)
CONTINUOUS: dict[Any, Any] = {
    Uniform(-30, 30): stats.uniform(-30, 60),
    Uniform(0.1, 1.9): stats.uniform(0.1, 1.8),
    Beta(1, 1): stats.uniform(0, 1),
    Beta(0.2, 0.2): stats.beta(0.2, 0.2),
    Beta(0.4, 0.4): stats.beta(0.4, 0.4),
    Beta(0.5, 2): stats.beta(0.5, 2),
    Beta(2, 5): stats.beta(2, 5),
    Beta(8, 8): stats.beta(8, 8),
}
if hasattr(laws, "LogUniform"):
    CONTINUOUS[laws.LogUniform(0.75, 4 / 3)] = stats.loguniform(0.75, 4 / 3)
DISCRETE = [Constant(3.5), Choice((4, 5, 6, 7, 8)), Choice((1.0, 1.0, 2.0)), Ladder((0.0, 1.0, 4.0)), Linear(2, 10)]
DISCRETE += [Linear(1.0, 1.9, signed=True, centre=1.0), Ladder((0.0, 2.0, 5.0), signed=True)]
DISCRETE += [Linear(2.0, 10.0, signed=True, centre=3.0), Ladder((0.0, 2.0, 5.0), signed=True, centre=3.0)]
DISCRETE += [Linear(-3, 3, signed=True, centre=1.0), Levels((1.0, 1.3, 1.6), 2, signed=True, centre=1.0, least=0.5)]
DISCRETE += [Levels((0.0, 3.0, 5.0, 6.0), 3), Stepped(4, -2, limits=Interval(0, 8)), Stepped(0, 3, 2.0, signed=True)]


@pytest.mark.parametrize("law", CONTINUOUS, ids=law_text)
def test_drawn_values_follow_scipys_distribution(law: Any) -> None:
    # Catches shapes given in the wrong order, and a tail mirrored about the wrong end.
    drawn, exact = law.value(U, FULL).double().numpy(), CONTINUOUS[law]
    # float32 holds no number between 1 - 6e-8 and 1, where Beta(0.2, 0.2) has a hundredth of its mass: that is counted apart.
    edge = law.support.high - 1e-4 * (law.support.high - law.support.low)
    below, share = drawn[drawn < edge], exact.cdf(edge)
    assert stats.binomtest(len(below), N, share).pvalue > 1e-3
    assert stats.kstest(below, lambda x: exact.cdf(x) / share).pvalue > 1e-3
    assert law.value(U, FULL).dtype == torch.float32


@pytest.mark.parametrize("law", CONTINUOUS, ids=law_text)
def test_values_are_scipys_quantiles(law: Any) -> None:
    # Both tails down to the smallest uniform. Catches a table that is only exact in the middle.
    low = 2.0 ** -np.arange(1, 25)
    u = np.unique(np.concatenate([low, 1 - low, np.linspace(0, 1, 999)[1:-1]])).astype(np.float32)
    got = law.value(torch.from_numpy(u), torch.ones(len(u))).double().numpy()
    exact = CONTINUOUS[law].ppf(u.astype(float))
    scale = max(abs(law.support.low), abs(law.support.high))
    allowed = np.where(u < 0.5, 5e-6 * np.abs(exact), 5e-6 * np.abs(law.support.high - exact)) + scale * 2.0**-23
    if isinstance(law, Beta):
        allowed = np.where(u < 0.5, 5e-6 * exact + 1e-44, 5e-6 * (1 - exact) + 2.0**-24)
    assert (np.abs(got - exact) <= allowed).all()
    assert (np.diff(got) >= 0).all()


@pytest.mark.parametrize("law", CONTINUOUS, ids=law_text)
def test_the_ends_of_the_uniform_give_the_ends_of_the_support(law: Any) -> None:
    # u = 0 occurs once in 2^24. Catches a logarithm or an exponent of zero read as that of one half.
    ends = law.value(torch.tensor([0.0, 1 - 2.0**-24]), torch.ones(2)).double()
    assert float(ends[0]) == pytest.approx(law.support.low, abs=1e-6)
    assert float(ends[1]) == pytest.approx(CONTINUOUS[law].ppf(1 - 2.0**-24), rel=1e-5)


@pytest.mark.parametrize("law", CONTINUOUS, ids=law_text)
def test_log_prob_is_the_logarithm_of_the_distributions_slope(law: Any) -> None:
    points = CONTINUOUS[law].ppf(np.linspace(0.03, 0.97, 21))
    step = 1e-4 * np.minimum(points - law.support.low, law.support.high - points)
    slope = (CONTINUOUS[law].cdf(points + step) - CONTINUOUS[law].cdf(points - step)) / (2 * step)
    got = law.log_prob(torch.from_numpy(points), torch.ones(len(points))).double().numpy()
    assert got == pytest.approx(np.log(slope), abs=2e-3)


@pytest.mark.parametrize("law", CONTINUOUS, ids=law_text)
def test_log_prob_at_and_beyond_the_ends_is_no_nan(law: Any) -> None:
    low, high = law.support.low, law.support.high
    value = torch.tensor([low, high, low - 0.5, high + 0.5])
    got = law.log_prob(value, torch.ones(4))
    assert not bool(got.isnan().any())
    assert got[2:].tolist() == [-math.inf, -math.inf]


@pytest.mark.parametrize("strength", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("law", DISCRETE, ids=repr)
def test_log_prob_of_a_discrete_law_is_its_frequency(law: Any, strength: float) -> None:
    # Catches a sign drawn with another chance than log_prob says, and probabilities that do not sum to 1.
    s = torch.full((N,), strength)
    values, counts = law.value(U, s).unique(return_counts=True)
    probability = law.log_prob(values, s[: len(values)]).double().exp().numpy()
    assert probability.sum() == pytest.approx(1, abs=1e-6)
    assert len(values) == 1 or stats.chisquare(counts.numpy(), probability / probability.sum() * N).pvalue > 1e-4
    outside = law.log_prob(torch.tensor([1234.5]), torch.tensor([strength]))
    assert outside.tolist() == [-math.inf]


@pytest.mark.parametrize("strength", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("law", [*CONTINUOUS, *DISCRETE], ids=repr)
def test_every_value_lies_in_the_support(law: Any, strength: float) -> None:
    value = law.value(U, torch.full((N,), strength)).double()
    assert float(value.min()) >= law.support.low - 1e-6 and float(value.max()) <= law.support.high + 1e-6


@pytest.mark.parametrize("count", [1, 2, 3, 11, 31])
def test_a_ladder_takes_the_nearest_level(count: int) -> None:
    # Strengths exactly on a level, and a hair to both sides of the middle between two. Catches a floor for a round.
    law = Ladder(tuple(float(k) for k in range(count)))
    for level in range(count):
        at = level / max(1, count - 1)
        near = torch.tensor([at, max(0.0, at - 0.49 / count), min(1.0, at + 0.49 / count)])
        assert law.value(torch.zeros(3), near).tolist() == [level] * 3


def test_levels_are_their_numbers_and_straight_between() -> None:
    # Catches a strength whose float32 lies a hair below its level, taken for the level before.
    numbers = tuple(0.1 + 0.03 * k * k for k in range(31))
    law = Levels(numbers, 30)
    at = torch.arange(31, dtype=torch.float32) / 30
    assert law.value(torch.zeros(31), at).tolist() == torch.tensor(numbers).tolist()
    middle = law.value(torch.zeros(30), (torch.arange(30) + 0.5) / 30).tolist()
    assert middle == pytest.approx([(a + b) / 2 for a, b in zip(numbers[:-1], numbers[1:], strict=True)], rel=1e-6)
    assert law.value(torch.zeros(1), torch.tensor([1.5])).tolist() == pytest.approx([numbers[-1]])


def test_both_sides_of_one_are_rounded_once() -> None:
    # 1 - m in double precision, not 2 - float32(1 + m): an ulp that moves a grey level. Catches mirroring after rounding.
    m = [float(v) for v in torch.linspace(0.0, 0.9, 31)]
    law = Levels(tuple(1.0 + v for v in m), 30, signed=True, centre=1.0)
    at = torch.arange(31, dtype=torch.float32) / 30
    assert law.value(torch.full((31,), 0.7), at).tolist() == torch.tensor([1.0 - v for v in m]).tolist()


def test_steps_end_at_their_limits() -> None:
    law = Stepped(4, 0, limits=Interval(0, 8))
    assert law.value(torch.zeros(3), torch.tensor([0.0, 1.0, 2.0])).tolist() == [4.0, 0.0, 0.0]
    up = Stepped(2, 9, limits=Interval(3, 6))
    assert up.value(torch.zeros(4), torch.tensor([0.0, 0.5, 1.0, 2.0])).tolist() == [3.0, 5.0, 6.0, 6.0]


def test_published_ladders_of_posterize() -> None:
    # torchvision's 10 bins: 8 - round(i / 2.25). A strength of i / 9 must meet entry i.
    numbers = (8.0, 8.0, 7.0, 7.0, 6.0, 6.0, 5.0, 5.0, 4.0, 4.0)
    strength = torch.arange(10) / 9
    assert Ladder(numbers).value(torch.zeros(10), strength).tolist() == list(numbers)


@pytest.mark.parametrize("numbers", [(1.0, 2.0, 3.0), tuple(float(k) for k in range(7)), tuple(float(k) for k in range(257))])
def test_a_choice_is_even_and_reaches_its_last_entry(numbers: tuple[float, ...]) -> None:
    values = Choice(numbers).value(torch.tensor([0.0, 1 - 2.0**-24]), torch.ones(2))
    assert values.tolist() == [numbers[0], numbers[-1]]


def test_signs_mirror_about_the_centre() -> None:
    # Catches a factor 1.9 mirrored to -1.9 rather than 0.1.
    law = Linear(1.0, 1.9, signed=True, centre=1.0)
    got = law.value(torch.tensor([0.2, 0.7]), torch.tensor([1.0, 1.0]))
    assert got.tolist() == pytest.approx([1.9, 0.1])


@pytest.mark.parametrize("law", [*CONTINUOUS, *DISCRETE], ids=repr)
@pytest.mark.parametrize("size", [3, 7, 64, 1001])
def test_a_value_does_not_depend_on_the_length_of_the_batch(law: Any, size: int) -> None:
    # PyTorch's vectorised exp and pow may differ in the last bit between a full vector and its remainder.
    strength = U.flip(0)
    whole: Tensor = law.value(U, strength)
    parts = [law.value(u, s) for u, s in zip(U[:2002].split(size), strength[:2002].split(size), strict=True)]
    assert torch.equal(torch.cat(parts), whole[:2002])


@pytest.mark.parametrize(
    ("text", "law"),
    [
        ("x(uniform(-30, 30))", Uniform(-30, 30)),
        ("x(uniform(low=1, high=2))", Uniform(1, 2)),
        ("x(beta(0.2))", Beta(0.2, 0.2)),
        ("x(beta(a=1, b=2))", Beta(1, 2)),
        ("x(7)", Constant(7)),
        ("x([1, 2, 4])", Choice((1, 2, 4))),
    ],
)
def test_laws_are_read_as_the_grammar_writes_them(text: str, law: Any) -> None:
    assert law_from(parse_spec(text, "test").first[0], "test") == law


@pytest.mark.parametrize(
    "text",
    ["x(uniform(2, 1))", "x(uniform(1))", "x(uniform(a, b))", "x(normal(0, 1))", "x(beta(0))", "x(beta(1, -1))", "x(true)"]
    + ["x([])", "x([a])", "x([[1]])", "x(word)", "x(inf)", "x(uniform(0, inf))", "x(beta(inf))", "x(uniform(1, 2, 3))"]
    + ["x(none)", "x([true])", "x(a+b)", "x([uniform(1, 2)])"],
)
def test_what_is_no_law_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InputError) as caught:
        law_from(parse_spec(text, "test").first[0], "test: rotate(degrees)")
    assert "\n" not in str(caught.value)


@settings(steady, max_examples=15)
@given(st.floats(0.05, 50), st.floats(0.05, 50), st.integers(0, 2**24 - 1).map(lambda k: k / 2**24))
def test_any_beta_gives_its_own_quantile(a: float, b: float, u: float) -> None:
    got = float(Beta(a, b).value(torch.tensor([u]), torch.ones(1)))
    exact = float(stats.beta(a, b).ppf(u))
    assert got == pytest.approx(exact, rel=1e-4, abs=1e-6)


NAMED_LAWS = [
    ("uniform(-30, 30)", Uniform(-30, 30)),
    ("log_uniform(0.5, 2)", LogUniform(0.5, 2)),
    ("log_uniform(low=3, high=3)", LogUniform(3, 3)),
    ("beta(0.2, 0.3)", Beta(0.2, 0.3)),
    ("linear(0, 30)", Linear(0, 30)),
    ("linear(1, 1.9, signed=true, centre=1)", Linear(1, 1.9, True, 1)),
    ("stepped(0, 4)", Stepped(0, 4)),
    ("stepped(4, 0, unit=2, signed=true)", Stepped(4, 0, 2, True)),
    ("ladder([0, 10, 20])", Ladder((0, 10, 20))),
    ("ladder(numbers=[1, 2], signed=true, centre=1)", Ladder((1, 2), True, 1)),
]


@pytest.mark.parametrize(("text", "law"), NAMED_LAWS)
def test_every_law_is_written_as_it_is_read(text: str, law: Any) -> None:
    """Catches a law whose text loses an option, or is that of another."""
    assert law_from(parse_spec(text, "test"), "test") == law
    assert law_from(law_to_grammar(law), "test") == law


def test_numbers_and_lists_are_laws_too() -> None:
    assert law_to_grammar(Constant(7.5)) == 7.5 and law_to_grammar(Choice((1.0, 2.0))) == [1.0, 2.0]
    for each in (Constant(7), Levels((1, 2), 1)):
        assert law_from(each, "test") is each
    with pytest.raises(InputError, match="^Levels: a custom law cannot be written"):
        law_to_grammar(Levels((1, 2), 1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("log_uniform(0, 1)", "log_uniform(0, 1): both numbers"),
        ("log_uniform(2, 1)", "log_uniform(2, 1): both numbers"),
        ("uniform(2, 1)", "uniform(2, 1): the first"),
        ("beta(1, 1e6)", "beta(1): both shapes"),
        ("beta(1e6)", "beta(1e+06): both shapes"),
        ("uniform(-inf, 1)", "uniform: -inf is not"),
        ("uniform(1, inf)", "uniform: inf is not"),
        ("linear(1, inf)", "linear: inf is not"),
        ("linear(inf, 1)", "linear: inf is not"),
        ("stepped(1, inf)", "stepped: inf is not"),
        ("linear(1, 2, centre=inf)", "linear: inf is not"),
        ("stepped(inf, 1)", "stepped: inf is not"),
        ("stepped(0, 1, unit=inf)", "stepped: inf is not"),
        ("ladder([])", "ladder: needs at least one"),
        ("ladder([1, inf])", "ladder: inf is not"),
        ("ladder([1], centre=inf)", "ladder: inf is not"),
        ("normal(0, 1)", "test: unknown law 'normal'; known: uniform, log_uniform, beta, linear, stepped, ladder"),
    ],
)
def test_a_law_that_cannot_be_is_refused_by_its_name(text: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        law_from(parse_spec(text, "test"), "test")
    assert str(refused.value).startswith(message)


def test_values_at_the_edge_of_float32_stay_inside() -> None:
    """Rounding exp and log must not lead out of the range."""
    law = LogUniform(0.1, 0.7)
    values = law.value(torch.tensor([0.0, 1 - 2.0**-24, 1.0]), torch.ones(3))
    assert float(values.min()) >= np.float32(0.1) and float(values.max()) <= np.float32(0.7)
    for low in (0.25571580231189733, 0.16595510393381122):  # exp(log(low)) rounds to the number before float32's nearest
        assert LogUniform(low, 3 * low).value(torch.zeros(1), torch.ones(1)).item() == np.float32(low)
    for high in (0.21902858465909955, 0.059553859755396836):  # and here to the one after
        assert LogUniform(high / 2, high).value(torch.ones(1), torch.ones(1)).item() == np.float32(high)
    below = LogUniform(0.3, 0.30000001).value(torch.linspace(0, 1, 99), torch.ones(99))
    assert float(below.min()) >= np.float32(0.3)


@pytest.mark.parametrize("strength", [-1.0, 0.0, 0.1, 1 / 30, 0.5, 29.5 / 30, 1.0, 3.0])
def test_a_level_is_one_number_in_either_precision(strength: float) -> None:
    """`number` is the value in double precision: of published levels the published number, between them a straight line."""
    numbers = tuple(0.1 + 0.03 * k * k for k in range(31))
    law = Levels(numbers, 30)
    place = min(max(strength * 30, 0), 30)
    low = int(place)
    expected = numbers[low] + (numbers[min(low + 1, 30)] - numbers[low]) * (place - low)
    assert law.number(strength) == pytest.approx(expected, rel=2e-5)
    if place == low:
        assert law.number(strength) == numbers[low]
    assert float(law.value(torch.zeros(1), torch.tensor([strength]))) == pytest.approx(law.number(strength), rel=1e-6)


def test_supports_hold_both_signs_and_no_more() -> None:
    assert Stepped(0, 4, 2).support == Interval(0, 8) and Stepped(0, 4, 2, True).support == Interval(-8, 8)
    assert Stepped(4, 0, limits=Interval(1, 3)).support == Interval(1, 3)
    assert Levels((1.1, 1.9), 1, True, 1.0, 0.5).support == Interval(0.5, 1.9) and Levels((1, 3), 1).support == Interval(1, 3)
    assert Ladder((1, 3)).support == Interval(1, 3) and Ladder((1, 3), True, 1).support == Interval(-1, 3)
    assert Linear(0, 30).support == Interval(0, 30) and Linear(0, 30, True, 10).support == Interval(-10, 30)


def test_a_level_beyond_the_ladder_is_its_last_and_one_before_its_first() -> None:
    ladder = Ladder((5.0, 6.0, 7.0))
    assert ladder.level(torch.tensor([-2.0, 0.0, 0.25, 0.75, 1.0, 9.0])).tolist() == [0, 0, 1, 2, 2, 2]
    assert ladder.value(torch.zeros(1), torch.zeros(1)).dtype == torch.float32
    # Other numbers than above: 5 and 5.0 are one key of the cache of constants.
    for whole in (Ladder((15, 16, 17)), Levels((25, 26), 1), Choice((35, 36)), Constant(45), Stepped(0, 4), Linear(0, 7)):
        assert whole.value(torch.zeros(1), torch.zeros(1)).dtype == torch.float32, "whole numbers too"


@pytest.mark.parametrize("law", [Linear(1, 1.9, True, 1), Ladder((1.0, 1.5, 1.9), True, 1), Levels((1.0, 1.5, 1.9), 2, True, 1)])
def test_each_sign_has_half_the_probability(law: Any) -> None:
    strength = torch.ones(3)
    value = law.value(torch.tensor([0.0, 0.75, 0.0]), strength)
    value[2] = 1.3
    assert law.log_prob(value, strength).tolist() == pytest.approx([math.log(0.5), math.log(0.5), -math.inf])


@pytest.mark.parametrize("law", [Uniform(-32, 32), LogUniform(0.5, 2), Beta(1, 1)], ids=repr)
def test_the_ends_of_the_support_belong_to_it(law: Any) -> None:
    low, high = law.support.low, law.support.high
    slope = {Uniform: lambda x: 1 / 64, LogUniform: lambda x: 1 / (x * math.log(4)), Beta: lambda x: 1.0}[type(law)]
    found = law.log_prob(torch.tensor([low, high]), torch.ones(2))
    assert found.tolist() == pytest.approx([math.log(slope(low)), math.log(slope(high))], abs=1e-6)


@pytest.mark.parametrize("shapes", [(2, 5), (0.4, 0.4), (8, 8)])
def test_a_betas_quantiles_fall_straight_to_0_below_the_last_octave(shapes: tuple[float, float]) -> None:
    """No draw is that small; a user's own number may be. Catches a value that stays at the last octave's."""
    law, smallest = Beta(*shapes), 2.0**-25
    u = torch.tensor([smallest, smallest * 0.75, smallest / 2, smallest / 8, smallest / 2**20, 0.0], dtype=torch.float64)
    found = law.value(u, torch.ones(6))
    assert found[0].item() == pytest.approx(float(stats.beta(*shapes).ppf(smallest)), rel=1e-5)
    assert (found / found[0]).tolist() == pytest.approx((u / smallest).tolist())
