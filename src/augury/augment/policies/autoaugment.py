"""AutoAugment: the published tables of sub-policies."""

from importlib.resources import files
from typing import Annotated, Any, Literal

import yaml

from augury.augment.policies import ladders
from augury.augment.policies.by_side import BySide
from augury.augment.policies.fixed import SubPolicies, SubPolicyStep
from augury.augment.policies.ladders import Magnitudes
from augury.core.options import Interval
from augury.core.plan import Policy, Space
from augury.core.registry import register

PolicyTable = Literal["cifar10", "imagenet", "svhn", "cifar10_95", "efficientnet_v0"]
# The ladder of the code that each table was released with.
LADDER_OF: dict[PolicyTable, str] = {
    "cifar10": "tf", "svhn": "tf", "cifar10_95": "tf", "imagenet": "tpu", "efficientnet_v0": "tpu",
}  # fmt: skip
_BY_SIDE: tuple[PolicyTable, PolicyTable] = ("cifar10", "imagenet")


@register("policy", "autoaugment", source="Cubuk et al. 2019 (arXiv:1805.09501), tables 7 to 9 and released code")
def autoaugment(
    *,
    table: PolicyTable | None = None,
    ladder: str | None = None,
    fill: Annotated[int, Interval(0, 255)] | None = None,
    spread: Annotated[float, Interval(0, 100)] = 0.0,
) -> Policy:
    """One of a table's sub-policies per image, two operations each with its own chance and strength.

    Tables: the paper's three (25 sub-policies each), the 95 of the released TensorFlow code, EfficientNet's v0. Without
    one, `cifar10` on images under 64 pixels or where a ladder is given, and `imagenet` on larger ones. Levels mean what
    `ladder` says: by default what they mean in the code that the table was released with, whatever the image's size, so
    `tf` for the CIFAR and SVHN tables (translations by up to 10/32 of the side) and the repaired `tpu` for the others
    (translations by up to more than a whole image, which those tables leave out); `torchvision` gives torchvision's
    policies. `fill` paints what lies outside, 128 by default, 0 with torchvision's ladder. `spread` is timm's mstd, the
    deviation of a normal jitter of every level, which stays between 0 and the ladder's 10 (torchvision's 9).
    """
    if table is not None or ladder is not None:
        chosen: PolicyTable = table or "cifar10"
        return from_levels(sub_policies(chosen), ladders.ladder(ladder or LADDER_OF[chosen]), fill, spread)
    small, large = (from_levels(sub_policies(own), ladders.ladder(LADDER_OF[own]), fill, spread) for own in _BY_SIDE)
    return BySide(small, large)


def sub_policies(table: str) -> list[list[tuple[str, float, float]]]:
    """A published table: per sub-policy (operation, probability, level)."""
    text = files("augury.augment.policies").joinpath("tables", f"{table}.yaml").read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(text)
    return [[(name, p, level) for name, p, level in row] for row in content["sub_policies"]]


def from_levels(
    rows: list[list[tuple[str, float, float]]], magnitudes: Magnitudes, fill: int | None = None, spread: float = 0.0
) -> SubPolicies:
    """A policy from levels on a ladder's scale. Raises InputError for an operation or a level that the ladder lacks."""
    names = list(dict.fromkeys(name for row in rows for name, _, _ in row))
    space = Space(tuple(magnitudes.entry(name, fill) for name in names))
    table = tuple(tuple(SubPolicyStep(names.index(name), p, magnitudes.strength(level)) for name, p, level in row) for row in rows)
    return SubPolicies(space, table, spread / magnitudes.top)
