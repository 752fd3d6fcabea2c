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
    """One of a table's sub-policies per image: two operations, each with its own probability and strength.

    Tables: the paper's three (25 sub-policies each), the 95 of the released TensorFlow code, EfficientNet's v0. The default is
    `cifar10` for images below 64 pixels or if a ladder is given, and `imagenet` for larger ones. `ladder` maps levels to
    values; by default it is that of the code the table was released with, for any image size: `tf` for the CIFAR and SVHN
    tables (translations by up to 10/32 of the side) and the repaired `tpu` for the others (translations by up to more than a
    whole image, which those tables do not use); `torchvision` gives torchvision's policies. `fill` is the grey level outside
    the image, 128 by default and 0 with torchvision's ladder. `spread` is timm's mstd, the standard deviation of a normal
    jitter of every level, which stays between 0 and the ladder's 10 (torchvision's 9).
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
