"""Converts policies from and to the notations of other libraries, and to policy files."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from augury.augment.policies.file import MOST_ROWS, PolicyEntry, PolicyFile, PolicyRow, Scheduled, value_of
from augury.augment.policies.fixed import SubPolicies, UniformPolicy
from augury.augment.policies.ladders import ENHANCE
from augury.core.errors import InputError
from augury.core.plan import Policy, SpaceEntry


def as_file(policy: Policy, name: str, source: str = "") -> PolicyFile:
    """A policy that does not learn, as a policy file's content. Raises InputError if the format cannot express it."""
    if isinstance(policy, Scheduled):
        rows = [tuple(file_entry(policy.space[s.op], s.p, s.strength) for s in row) for row in policy.all.table]
        periods = tuple((until, tuple(rows[k] for k in numbers)) for until, numbers in policy.periods)
        return PolicyFile(name, periods, source)
    if isinstance(policy, SubPolicies | UniformPolicy) and policy.spread:
        raise InputError(f"{name}: the spread of its magnitude cannot be written into a policy file")
    if isinstance(policy, SubPolicies):
        table = tuple(tuple(file_entry(policy.space[s.op], s.p, s.strength) for s in row) for row in policy.table)
        return PolicyFile(name, ((1.0, table),), source)
    if isinstance(policy, UniformPolicy):
        singles = [file_entry(choice, policy.p, strength) for choice in policy.space.entries for strength in policy.strengths]
        count = len(singles) ** policy.slots
        if count > MOST_ROWS:
            raise InputError(f"{name}: {count} sub-policies are too many for a file; name it by its options instead")
        return PolicyFile(name, ((1.0, tuple((entry,) for entry in singles)),), source, repeat=policy.slots)
    raise InputError(f"{name}: a policy of this kind cannot be written into a policy file")


def file_entry(choice: SpaceEntry, p: float, strength: float) -> PolicyEntry:
    """An entry of a space at a strength, as a policy file says it. Raises InputError for what one value cannot say."""
    values, signed = {}, False
    for parameter in choice.op.parameters:
        law = choice.law(parameter)
        values[parameter], mirrored = value_of(choice.op.name, parameter, law, strength)
        signed = signed or mirrored
    return PolicyEntry(choice.op.name, p, strength, values, signed, dict(choice.options))


@dataclass(frozen=True)
class Imported:
    """Another library's policy as text in the grammar, with notes on what differs."""

    text: str
    notes: tuple[str, ...] = ()


TIMM_TABLES = {
    "original": ("imagenet", "timm_original"),
    "originalr": ("imagenet", "timm_research"),
    "v0": ("efficientnet_v0", "timm"),
    "v0r": ("efficientnet_v0", "timm_research"),
}
TIMM_KINDS = ("rand", *TIMM_TABLES, "augmix")
_TIMM_END = 10  # where timm clips magnitudes without mmax
_RESAMPLING = (
    "translations are cut to whole pixels and geometric operations take the nearest pixel; timm moves by fractions of pixels "
    "and resamples bilinearly or bicubically"
)
_PAINT = "what lies outside is 128; timm's create_transform paints the data's mean colour"


def from_timm(text: str) -> Imported:
    """Convert a timm `--aa` string. Raises InputError naming the part that is unknown or has no equivalent.

    `rand-m9-n2-mstd0.5-inc1`, `original-mstd0.5`, `originalr`, `v0`, `v0r`, `augmix-m3-w3`.
    """
    kind, *parts = text.split("-")
    if kind == "rand":
        return _timm_rand(text, parts)
    if kind in TIMM_TABLES:
        keys = _timm_keys(text, parts, {"mstd"})
        table, ladder = TIMM_TABLES[kind]
        spread = f", spread={keys['mstd']:g}" if keys.get("mstd") else ""
        return Imported(f"autoaugment(table={table}, ladder={ladder}{spread})", (_RESAMPLING, _PAINT))
    if kind == "augmix":
        return _timm_augmix(text, parts)
    raise InputError(f"{text}: not a timm policy; known are {', '.join(TIMM_KINDS)}")


def _timm_rand(text: str, parts: list[str]) -> Imported:
    notes = [_RESAMPLING, _PAINT]
    for part in [part for part in parts if part.startswith("t")]:
        if part[1:] in ("weights", "3a", "3aw"):
            raise InputError(f"{text}: the operations and weights of {part!r} have no equivalent; remove it")
        notes.append(f"{part} names no set of operations, so that timm takes its usual ones")
        parts = [other for other in parts if other != part]
    keys = _timm_keys(text, parts, {"m", "n", "mstd", "inc", "p", "mmax"})
    magnitude, end = keys.get("m", 10), keys.get("mmax") or _TIMM_END
    if magnitude > end:
        notes.append(f"m{magnitude:g} is {end:g}: timm clips magnitudes at {'mmax' if keys.get('mmax') else '10 without mmax'}")
    version = "timm_increasing" if keys.get("inc") else "timm"
    options = [f"num_ops={int(keys.get('n', 2))}", f"magnitude={min(magnitude, end):g}", f"version={version}"]
    spread = keys.get("mstd", 0)
    options += ["level=uniform"] if spread > 100 else [f"spread={spread:g}"] if spread else []
    options += [f"max_magnitude={end:g}"] if spread and (end > _TIMM_END or keys.get("mmax")) else []
    options += [f"p={keys['p']:g}"] if "p" in keys else []
    return Imported(f"randaugment({', '.join(options)})", tuple(notes))


def _timm_augmix(text: str, parts: list[str]) -> Imported:
    keys = _timm_keys(text, parts, {"m", "w", "d", "a", "b", "mstd"})
    notes = [_RESAMPLING, _PAINT, "the sum of the chains is rounded to the nearest level; timm cuts it twice"]
    if keys.get("b"):
        notes.append("b1 blends the chains one after the other, with the same weights up to rounding; here they are summed")
    options = [f"severity={keys.get('m', 3):g}", f"width={int(keys.get('w', 3))}", "version=timm"]
    options += [f"depth={int(keys['d'])}"] if keys.get("d", -1) > 0 else []
    options += [f"alpha={keys['a']:g}"] if "a" in keys else []
    if "mstd" in keys and keys["mstd"] <= 100:
        options.append(f"spread={keys['mstd']:g}")
    return Imported(f"augmix({', '.join(options)})", tuple(notes))


def _timm_keys(text: str, parts: list[str], known: set[str]) -> dict[str, float]:
    """The parts of a timm string, letters and a number each; parts that timm parses as integers must be whole numbers."""
    keys: dict[str, float] = {}
    for part in parts:
        match = re.fullmatch(r"([a-z]+)(\d*\.?\d+)", part)
        if match is None:
            raise InputError(f"{text}: {part!r} is not known; parts are letters and a number, such as m9")
        key, value = match.group(1), float(match.group(2))
        if key not in known:
            raise InputError(f"{text}: {part!r} is not an option of this timm policy; known are {', '.join(sorted(known))}")
        if key not in ("mstd", "p", "a") and not value.is_integer():
            raise InputError(f"{text}: {part!r} must be a whole number, as timm reads it")
        keys.setdefault(key, value) if key in ("mstd", "mmax") else keys.update({key: value})
    return keys


_BATCH = "torchvision draws one set of operations for a whole batch; here every image draws its own"
TORCHVISION = {
    "AutoAugmentPolicy.IMAGENET": "autoaugment(table=imagenet, ladder=torchvision)",
    "AutoAugmentPolicy.CIFAR10": "autoaugment(table=cifar10, ladder=torchvision)",
    "AutoAugmentPolicy.SVHN": "autoaugment(table=svhn, ladder=torchvision)",
    "RandAugment": "randaugment",
    "TrivialAugmentWide": "trivialaugment",
    "AugMix": "augmix(version=torchvision)",
}


def from_torchvision(text: str) -> Imported:
    """Convert the name of a torchvision class or enum member."""
    rounding = ("the sum of the chains is rounded to the nearest level; torchvision cuts it",)
    for name, made in TORCHVISION.items():
        if text.removeprefix("torchvision.transforms.").removeprefix("v2.") in (name, name.rsplit(".", 1)[-1].lower()):
            return Imported(made, (_BATCH, *(rounding if name == "AugMix" else ())))
    raise InputError(f"{text}: not a torchvision policy; known are {', '.join(TORCHVISION)}")


def differences(first: PolicyFile, second: PolicyFile) -> list[str]:
    """The difference of two policies: sub-policies only in the first with `-`, only in the second with `+`.

    The order of sub-policies is ignored, since all are equally likely.
    """
    if first.augment or second.augment:
        said = [each.augment or f"{sum(len(rows) for _, rows in each.periods)} sub-policies" for each in (first, second)]
        return [] if said[0] == said[1] else [f"- {said[0]}", f"+ {said[1]}"]
    lines = [] if first.repeat == second.repeat else [f"repeat: {first.repeat} and {second.repeat}"]
    one, two = (
        [(repr((until, [done(entry) for entry in row])), row) for until, rows in content.periods for row in rows]
        for content in (first, second)
    )
    for sign, mine, others in (("-", one, two), ("+", two, one)):
        lines += [f"{sign} {line}" for line in counted(_without(mine, others))]
    return lines


def _without(mine: list[tuple[str, PolicyRow]], others: list[tuple[str, PolicyRow]]) -> list[PolicyRow]:
    """The multiset difference: rows of the first without those of the second."""
    left, found = Counter(key for key, _ in others), []
    for key, row in mine:
        if left[key]:
            left[key] -= 1
        else:
            found.append(row)
    return found


def counted(rows: Iterable[PolicyRow]) -> list[str]:
    """Sub-policies in words; equal ones share a line with their count: `31 x equalize 1`."""
    return [line if count == 1 else f"{count} x {line}" for line, count in Counter(map(words, rows)).items()]


def done(entry: PolicyEntry) -> tuple[object, ...]:
    """An entry as it is executed: without its strength, which is only for logs, and with values rounded to float32."""
    values = [(name, float(np.float32(value))) for name, value in sorted(entry.values.items())]
    return entry.op, float(entry.probability), values, entry.signed, sorted(entry.options.items())


def words(row: tuple[PolicyEntry, ...]) -> str:
    """A sub-policy in words: `rotate 0.7 (+-6 degrees), invert 0.1`."""
    return ", ".join(f"{entry.op} {entry.probability:g}{_numbers(entry)}" for entry in row)


def _sides(entry: PolicyEntry, value: float) -> str:
    """A value and, if its sign is drawn, its mirror image about 1 for enhancement factors and about 0 otherwise."""
    if not entry.signed:
        return f"{value:.4g}"
    return f"{2 - value:.4g} or {value:.4g}" if entry.op in ENHANCE else f"+-{value:.4g}"


def _numbers(entry: PolicyEntry) -> str:
    shown = [f"{_sides(entry, value)} {name}" for name, value in entry.values.items()]
    return f" ({', '.join(shown)})" if shown else ""
