"""Spaces, plans, clocks and the policy of a single operation."""

import math
from dataclasses import replace

import pytest
import torch
from scipy import stats

from augury.augment.ops.build import op
from augury.core.laws import Beta, Constant, Uniform
from augury.core.noise import Noise
from augury.core.plan import Clock, Plan, Single, Space, SpaceEntry

ROTATE, INVERT, CUTOUT = op("rotate"), op("invert"), op("cutout")
NOISE = Noise.of(0, torch.arange(4000))


def test_a_choice_takes_its_own_law_before_the_operations() -> None:
    assert SpaceEntry(ROTATE).law("degrees") == Uniform(-30, 30)
    assert SpaceEntry(ROTATE, {"degrees": Constant(5)}).law("degrees") == Constant(5)


def test_a_space_counts_parameters_and_uniforms() -> None:
    # A region draws two more numbers, for its place. Catches a place that shares its uniform with a parameter.
    space = Space((SpaceEntry(INVERT), SpaceEntry(ROTATE), SpaceEntry(CUTOUT)))
    assert (len(space), space.parameters, space.uniforms) == (3, 1, 3)
    assert space[1].op is ROTATE
    assert (Space(()).parameters, Space(()).uniforms, len(Space(()))) == (0, 0, 0)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
def test_a_single_operation_fires_with_its_chance(p: float) -> None:
    plan = Single(SpaceEntry(ROTATE), p).ask(NOISE, Clock())
    fired = int(plan.on.sum())
    assert plan.on.shape == (4000, 1) and plan.op.eq(0).all() and plan.strength.eq(1).all()
    assert fired == 4000 * p if p in (0, 1) else stats.binomtest(fired, 4000, p).pvalue > 1e-3


@pytest.mark.parametrize("p", [0.0, 0.25, 1.0])
def test_the_probabilities_of_a_single_operations_plans_sum_to_one(p: float) -> None:
    on = torch.tensor([[True], [False]])
    plan = Plan(torch.zeros(2, 1, dtype=torch.int64), torch.ones(2, 1), on)
    log = Single(SpaceEntry(ROTATE), p).log_prob(plan)
    assert log.tolist() == pytest.approx([math.log(p) if p else -math.inf, math.log(1 - p) if p < 1 else -math.inf])


def test_the_clock_tells_how_much_has_passed() -> None:
    assert [Clock(e, 4).fraction for e in range(4)] == [0, 0.25, 0.5, 0.75]
    assert Clock(0, 0).fraction == 0


def test_a_clock_of_one_epoch_starts_at_nothing() -> None:
    assert Clock(1, 1).fraction == 1 and Clock(1, 2).fraction == 0.5


def test_a_space_names_every_operation_once() -> None:
    """Catches an operation that is lowered once per entry, and entries that are attributed to another."""
    space = Space((SpaceEntry(ROTATE), SpaceEntry(INVERT), SpaceEntry(ROTATE, {"degrees": Constant(5)})))
    assert space.distinct == ((ROTATE, (0, 2)), (INVERT, (1,)))


def test_a_faded_space_weakens_what_can_be_weakened() -> None:
    mixup = op("mixup", alpha=0.8)
    space = Space((SpaceEntry(ROTATE, {"degrees": Constant(5)}), SpaceEntry(mixup, {"own": Constant(1)}))).faded(0.25)
    assert space[0].laws == {"degrees": Constant(5)}
    assert space[1].laws == {"own": Constant(1), "weight": Beta(0.2, 0.2)} and space[1].op is mixup


def test_a_single_operations_plan_is_made_of_the_documented_types() -> None:
    single = Single(SpaceEntry(ROTATE), 0.5)
    plan = single.ask(NOISE, Clock())
    assert (single.slots, single.space) == (1, Space((SpaceEntry(ROTATE),)))
    assert (plan.op.dtype, plan.strength.dtype, plan.on.dtype) == (torch.int64, torch.float32, torch.bool)


def test_operations_are_told_apart_and_a_region_draws_its_place() -> None:
    """Catches a hash that is the same for all, which makes every look-up slow, and places drawn for what has none."""
    assert (
        hash(ROTATE) == hash(replace(ROTATE))
        and len({hash(o) for o in (ROTATE, INVERT, CUTOUT, op("rotate", interpolation="bilinear"))}) == 4
    )
    assert [o.uniforms for o in (ROTATE, INVERT, CUTOUT)] == [1, 0, 3 if CUTOUT.parameters else 2]


def test_a_chance_of_nothing_never_fires_even_on_the_smallest_number() -> None:
    """Catches `<=`: one draw in 2^24 is exactly 0, as this image's is."""
    noise = Noise.of(0, torch.tensor([11692122]))
    assert float(noise.uniform(1)) == 0
    assert not Single(SpaceEntry(ROTATE), 0.0).ask(noise, Clock()).on.any()
