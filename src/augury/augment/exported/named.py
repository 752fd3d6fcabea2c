"""Policies that a library has under a name of its own, told by what they do."""

from itertools import product
from typing import Any, Literal

from augury.augment.names import policy
from augury.augment.policies.convert import TIMM_TABLES, TORCHVISION, done, file_entry
from augury.augment.policies.fixed import SubPolicies, SubPolicyStep, UniformPolicy
from augury.augment.policies.ladders import LARGEST_MAGNITUDE
from augury.augment.presets.augmix import augmix
from augury.augment.stages.augmix import AugMix
from augury.core.errors import InputError
from augury.core.options import parse_spec
from augury.core.plan import Policy

_BINS = 31
_MOST_OPS = 16


def named(found: Policy) -> str | None:
    """torchvision's own expression for a policy; None if it has none that does the same."""
    meant = _meaning(found)
    if meant is None:
        return None
    for name, ours in TORCHVISION.items():
        spec = parse_spec(ours, "POLICY")
        if spec.name in ("autoaugment", "trivialaugment") and _meaning(policy(spec.name, **spec.options)) == meant:
            return f"v2.AutoAugment(v2.{name})" if name.startswith("AutoAugmentPolicy") else f"v2.{name}()"
    if found.slots <= _MOST_OPS and _operations(found) == _operations(policy("randaugment")):
        for magnitude in range(_BINS):
            if _meaning(policy("randaugment", num_ops=found.slots, magnitude=magnitude)) == meant:
                return f"v2.RandAugment(num_ops={found.slots}, magnitude={magnitude})"
    return None


def timm_expression(found: Policy) -> str | None:
    """timm's own call for a policy, by a string of its `--aa`; None if no string does the same."""
    if isinstance(found, UniformPolicy) and len(found.strengths) == 1:
        string = _timm_rand(found)
        return None if string is None else f"rand_augment_transform({string!r}, HPARAMS)"
    if isinstance(found, SubPolicies):
        for kind, (table, ladder) in TIMM_TABLES.items():
            if policy("autoaugment", table=table, ladder=ladder, spread=found.spread * 10) == found:
                return f"auto_augment_transform({kind + _std(found.spread)!r}, HPARAMS)"
    return None


def _timm_rand(found: UniformPolicy) -> str | None:
    level = round(found.strengths[0] * 10, 6)
    for version, suffix in (("timm_increasing", "-inc1"), ("timm", "")):
        options = {"num_ops": found.slots, "version": version, "p": found.p, "spread": found.spread * 10, "magnitude": level}
        if level > LARGEST_MAGNITUDE:
            continue
        if policy("randaugment", **options, max_magnitude=found.most * 10) == found or policy("randaugment", **options) == found:
            most = f"-mmax{found.most * 10:g}" if level > 10 or found.most > 1 else ""
            chance = "" if found.p == 0.5 else f"-p{found.p:g}"
            return f"rand-m{level:g}-n{found.slots}{most}{_std(found.spread)}{suffix}{chance}"
    return None


def _std(spread: float) -> str:
    return f"-mstd{spread * 10:g}" if spread else ""


def _operations(found: Policy) -> set[str]:
    return {entry.op.name for entry in found.space.entries}


def augmix_expression(stage: AugMix, version: Literal["torchvision", "timm"]) -> str | None:
    """A library's AugMix where it does the same; torchvision's severity is a number of bins, timm's a magnitude."""
    depth: dict[str, Any] = {} if stage.depth is None else {"depth": stage.depth}
    for severity in range(1, 11):
        (other,) = augmix(version=version, severity=severity, width=stage.chains, alpha=stage.alpha, **depth)
        if other == stage and version == "torchvision":
            width = f"mixture_width={stage.chains}, chain_depth={-1 if stage.depth is None else stage.depth}"
            return f"v2.AugMix(severity={severity}, {width}, alpha={stage.alpha})"
        if other == stage:
            string = f"augmix-m{severity}-w{stage.chains}" + (f"-d{stage.depth}" if depth else "") + f"-a{stage.alpha:g}"
            return f"augment_and_mix_transform({string!r}, HPARAMS)"
    return None


def _meaning(found: Policy) -> object:
    """What a policy does: how many of its sub-policies an image gets, and what they are, in no order; None if values differ
    from draw to draw."""
    if not isinstance(found, UniformPolicy | SubPolicies) or found.spread:
        return None
    space, repeat = found.space, 1
    if isinstance(found, UniformPolicy):
        repeat, rows = found.slots, [[(entry, found.p, s)] for entry in space.entries for s in found.strengths]
    else:
        singles = _factor(found)
        repeat, table = (1, found.table) if singles is None else (found.slots, singles)
        rows = [[(space[step.op], step.p, step.strength) for step in row] for row in table]
    try:
        return repeat, sorted(repr([done(file_entry(*step)) for step in row]) for row in rows)
    except InputError:
        return None


def _factor(found: SubPolicies) -> tuple[tuple[SubPolicyStep, ...], ...] | None:
    """The single operations of which a table is every sequence, as a file with `repeat` is read; None if it is not."""
    singles = tuple(dict.fromkeys(row[:1] for row in found.table))
    if found.slots == 1 or len(singles) ** found.slots != len(found.table):
        return None
    every = product([row[0] for row in singles], repeat=found.slots)
    return singles if {*found.table} == {*every} else None
