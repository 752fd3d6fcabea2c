"""Policies from and to the notations of other libraries, and to policy files."""

import re
from collections import Counter
from collections.abc import Iterable

import numpy as np
import torch

from augury.augment.policies.file import MOST_ROWS, PolicyEntry, PolicyFile, PolicyRow, Scheduled
from augury.augment.policies.fixed import SubPolicies, UniformPolicy
from augury.augment.policies.ladders import ENHANCE
from augury.core.errors import InputError
from augury.core.laws import Constant, Ladder, Law, Linear, Stepped
from augury.core.plan import Policy, SpaceEntry

TIMM_KEYS = {"m", "n", "mstd", "inc", "p", "w", "d", "b", "t", "mmax"}


def as_file(policy: Policy, name: str, source: str = "") -> PolicyFile:
    """A policy that does not learn, as a policy file's content. Raises InputError saying what cannot be expressed."""
    if isinstance(policy, Scheduled):
        rows = [tuple(_entry(policy.space[s.op], s.p, s.strength) for s in row) for row in policy.all.table]
        periods = tuple((until, tuple(rows[k] for k in numbers)) for until, numbers in policy.periods)
        return PolicyFile(name, periods, source)
    if isinstance(policy, SubPolicies):
        table = tuple(tuple(_entry(policy.space[s.op], s.p, s.strength) for s in row) for row in policy.table)
        return PolicyFile(name, ((1.0, table),), source)
    if isinstance(policy, UniformPolicy):
        singles = [_entry(choice, policy.p, strength) for choice in policy.space.entries for strength in policy.strengths]
        if policy.spread:
            raise InputError(f"{name}: the spread of its magnitude cannot be written into a policy file")
        count = len(singles) ** policy.slots
        if count > MOST_ROWS:
            raise InputError(f"{name}: {count} sub-policies are too many for a file; name it by its options instead")
        return PolicyFile(name, ((1.0, tuple((entry,) for entry in singles)),), source, repeat=policy.slots)
    raise InputError(f"{name}: a policy of this kind cannot be written into a policy file")


def _entry(choice: SpaceEntry, p: float, strength: float) -> PolicyEntry:
    values, signed = {}, False
    for parameter in choice.op.parameters:
        law = choice.law(parameter)
        values[parameter], mirrored = _value(choice.op.name, parameter, law, strength)
        signed = signed or mirrored
    return PolicyEntry(choice.op.name, p, strength, values, signed, dict(choice.options))


def _value(op: str, parameter: str, law: Law, strength: float) -> tuple[float, bool]:
    if not isinstance(law, Constant | Linear | Stepped | Ladder):
        raise InputError(f"{op}({parameter}) is drawn from {law}; a policy file holds one value per entry")
    at = law.value(torch.zeros(1), torch.full((1,), float(strength)))
    return float(at), bool(getattr(law, "signed", False)) and float(at) != getattr(law, "centre", 0.0)


def from_timm(text: str) -> str:
    """A timm `--aa` string as the grammar's text. Raises InputError naming the part that is not known.

    `rand-m9-n2-mstd0.5-inc1`, `original`, `originalr`, `v0`, `v0r`, `augmix-m3-w3`.
    """
    kind, *parts = text.split("-")
    keys = _timm_keys(text, parts)
    if kind == "rand":
        _refuse(text, keys, {"m", "n", "mstd", "inc", "p", "mmax", "t"})
        version = "timm_increasing" if keys.get("inc") else "timm"
        options = [f"num_ops={int(keys.get('n', 2))}", f"magnitude={keys.get('m', 10):g}", f"version={version}"]
        options += [f"spread={keys['mstd']:g}"] if keys.get("mstd") else []
        options += [f"p={keys['p']:g}"] if "p" in keys else []
        return f"randaugment({', '.join(options)})"
    if kind in ("original", "originalr", "v0", "v0r"):
        _refuse(text, keys, set())
        table = "imagenet" if kind.startswith("original") else "efficientnet_v0"
        return f"autoaugment(table={table}, ladder={'timm_increasing' if kind.endswith('r') else 'timm'})"
    if kind == "augmix":
        _refuse(text, keys, {"m", "w", "d"})
        options = [f"severity={keys.get('m', 3):g}", f"width={int(keys.get('w', 3))}", "all_ops=true"]
        options += [f"depth={int(keys['d'])}"] if keys.get("d", -1) > 0 else []
        return f"augmix({', '.join(options)})"
    raise InputError(f"{text}: not a timm policy; known are rand, original, originalr, v0, v0r and augmix")


def _timm_keys(text: str, parts: list[str]) -> dict[str, float]:
    keys: dict[str, float] = {}
    for part in parts:
        match = re.fullmatch(r"([a-z]+)(\d*\.?\d+)", part)
        if match is None or match.group(1) not in TIMM_KEYS:
            raise InputError(f"{text}: {part!r} is not known; parts are letters and a number, such as m9")
        keys[match.group(1)] = float(match.group(2))
    return keys


def _refuse(text: str, keys: dict[str, float], known: set[str]) -> None:
    for key, value in keys.items():
        if key not in known:
            raise InputError(f"{text}: {key}{value:g} cannot be expressed here; leave it out")


TORCHVISION = {
    "AutoAugmentPolicy.IMAGENET": "autoaugment(table=imagenet, ladder=torchvision)",
    "AutoAugmentPolicy.CIFAR10": "autoaugment(table=cifar10, ladder=torchvision)",
    "AutoAugmentPolicy.SVHN": "autoaugment(table=svhn, ladder=torchvision)",
    "RandAugment": "randaugment",
    "TrivialAugmentWide": "trivialaugment",
    "AugMix": "augmix(all_ops=true)",
}


def from_torchvision(text: str) -> str:
    """A torchvision class or enum name as the grammar's text."""
    for name, made in TORCHVISION.items():
        if text.removeprefix("torchvision.transforms.").removeprefix("v2.") in (name, name.rsplit(".", 1)[-1].lower()):
            return made
    raise InputError(f"{text}: not a torchvision policy; known are {', '.join(TORCHVISION)}")


def differences(first: PolicyFile, second: PolicyFile) -> list[str]:
    """What two policies do differently: the sub-policies that only the first has with `-`, those of the second with `+`.

    Their order says nothing, since each is as likely as the next.
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
    """The rows of the one that the other does not have, as often as they are missing there."""
    left, found = Counter(key for key, _ in others), []
    for key, row in mine:
        if left[key]:
            left[key] -= 1
        else:
            found.append(row)
    return found


def counted(rows: Iterable[PolicyRow]) -> list[str]:
    """Sub-policies in words, those that say the same in one line with their number: `31 x equalize 1`."""
    return [line if count == 1 else f"{count} x {line}" for line, count in Counter(map(words, rows)).items()]


def done(entry: PolicyEntry) -> tuple[object, ...]:
    """An entry without its strength, which is for logs; values as the float32 that operations are given."""
    values = [(name, float(np.float32(value))) for name, value in sorted(entry.values.items())]
    return entry.op, float(entry.probability), values, entry.signed, sorted(entry.options.items())


def words(row: tuple[PolicyEntry, ...]) -> str:
    """A sub-policy in words: `rotate 0.7 (+-6 degrees), invert 0.1`."""
    return ", ".join(f"{entry.op} {entry.probability:g}{_numbers(entry)}" for entry in row)


def _sides(entry: PolicyEntry, value: float) -> str:
    """A value, and where its sign is drawn the one on the other side: of 1 for enhancement factors, else of 0."""
    if not entry.signed:
        return f"{value:.4g}"
    return f"{2 - value:.4g} or {value:.4g}" if entry.op in ENHANCE else f"+-{value:.4g}"


def _numbers(entry: PolicyEntry) -> str:
    shown = [f"{_sides(entry, value)} {name}" for name, value in entry.values.items()]
    return f" ({', '.join(shown)})" if shown else ""
