"""Parameters in captions, and how many numbers a draw of an operation uses."""

import pytest

from augury.augment.ops.build import op
from augury.core.laws import Uniform
from augury.core.op import UNUSED, Op, Parameter
from augury.core.options import Interval


@pytest.mark.parametrize(
    ("unit", "value", "alone", "beside_others"),
    [
        ("degrees", 12.5, "12.5°", "12.5°"),
        ("pixels", 3.0, "3 px", "3 px"),
        ("of the width", 0.4, "40 % of the width", "40 %"),
        ("of the side", 0.12345, "12.3 % of the side", "12.3 %"),
        ("grey levels", -17.26, "-17.3 grey levels", "-17.3"),
        ("times", 1.0, "1 times", "1"),
        ("which pattern", 7.0, "", ""),
        (UNUSED, 7.0, "", ""),
    ],
)
def test_a_caption_is_a_value_with_its_unit(unit: str, value: float, alone: str, beside_others: str) -> None:
    parameter = Parameter(Uniform(0, 1), Interval(0, 1), unit)
    assert parameter.caption(value) == parameter.caption(value, alone=True) == alone
    assert parameter.caption(value, alone=False) == beside_others


@pytest.mark.parametrize(("name", "uniforms"), [("invert", 0), ("rotate", 1), ("cutout", 3)])
def test_a_region_draws_two_numbers_more_than_it_has_parameters(name: str, uniforms: int) -> None:
    made = op(name)
    assert made.uniforms == uniforms and made.uniforms - len(made.parameters) == (2 if made.form == "region" else 0)


def test_operations_are_told_apart_by_name_and_function() -> None:
    def one(*given: object) -> None: ...

    def other(*given: object) -> None: ...

    made = Op("a", "map", one)
    assert hash(made) == hash(Op("a", "map", one))
    assert len({hash(made), hash(Op("b", "map", one)), hash(Op("a", "map", other))}) == 3
