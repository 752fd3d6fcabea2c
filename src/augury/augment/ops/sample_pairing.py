"""Sample pairing: blends another image in and keeps the label."""

from torch import Tensor

from augury.core.laws import Constant
from augury.core.op import Op, Parameter, Parts, Values
from augury.core.options import Interval
from augury.core.registry import register


@register("op", "sample_pairing", source="Inoue 2018 (arXiv:1801.02929), section 3; Cubuk et al. 2019 (arXiv:1805.09501), table 6")
def sample_pairing() -> Op:
    """Blends another image in with weight `other`; the label is not changed."""
    other = Parameter(Constant(0.5), Interval(0, 1), "of the other image")
    return Op(
        "sample_pairing",
        "mix",
        _lower,
        {"other": other},
        domain="any",
        needs=frozenset({"partner"}),
        identity={"other": 0.0},
    )


def _lower(values: Values, size: Tensor) -> Parts:
    return 1 - values["other"], False
