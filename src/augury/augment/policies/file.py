"""Policy files: policies as readable YAML from which nothing is executed.

    augury_policy: 1                  # the version of this format
    name: my policy
    source: where it comes from
    policies:                         # one of these is drawn per image; its operations are applied in order
      - - {op: rotate, probability: 0.7, strength: 0.2, values: {degrees: 6}, signed: true}
        - {op: translate_x, probability: 0.3, strength: 0.9, values: {fraction: 0.28125}, signed: true}
    repeat: 2                         # so many of them instead, independently, one after the other (RandAugment's num_ops)
    schedule:                         # instead of `policies`: lists of them over the training
      - {until: 0.5, policies: [...]} # up to this share of the epochs
    augment: randaugment(spread=0.5)  # instead of both: a registered augmentation with options, where no list can say it
    provenance: {...}                 # how it was found; kept and shown
    plugins: {mine: "sha256:..."}     # where its names come from, if not from Augury; asked for, never loaded

`values` are what is executed, in the operation's own units; with `signed` the sign (for enhancement factors the side of
1) is drawn. `strength` says where on its ladder the value lies, for logs and plots. `options` are the operation's fixed
options. Errors name the line.
"""

from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

from augury.augment.ops.build import op
from augury.augment.policies.fixed import SubPolicies, SubPolicyStep
from augury.augment.policies.ladders import ENHANCE
from augury.core import plugins
from augury.core.devices import constant
from augury.core.errors import InputError
from augury.core.laws import Constant, Law, Linear
from augury.core.levels import Ladder, Levels, Stepped
from augury.core.noise import Noise
from augury.core.plan import Clock, Plan, Space, SpaceEntry

VERSION = 1
MOST_ROWS = 5000
PolicyRow = tuple["PolicyEntry", ...]


@dataclass(frozen=True)
class PolicyEntry:
    """One operation of a sub-policy. values: parameter to native value. signed: whether its sign is drawn."""

    op: str
    probability: float = 1.0
    strength: float = 1.0
    values: dict[str, float] = field(default_factory=dict)
    signed: bool = False
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PolicyFile:
    """A policy file's content. periods: (share of the training up to which it holds, its sub-policies).

    repeat: how many sub-policies an image gets, drawn independently. augment: instead of periods, an augmentation's text.
    """

    name: str
    periods: tuple[tuple[float, tuple[PolicyRow, ...]], ...]
    source: str = ""
    provenance: dict[str, Any] = field(default_factory=dict)
    repeat: int = 1
    augment: str = ""


@dataclass(frozen=True)
class Scheduled:
    """Sub-policies that change over the training: of each period those in `numbers` are drawn from.

    parts: the sub-policies of every period, over the whole schedule's space.
    """

    all: SubPolicies
    periods: tuple[tuple[float, tuple[int, ...]], ...]
    parts: tuple[SubPolicies, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        padding = SubPolicyStep(0, 0.0, 0.0)  # keeps the number of slots
        table = [row + (padding,) * (self.slots - len(row)) for row in self.all.table]
        parts = tuple(SubPolicies(self.space, tuple(table[k] for k in numbers)) for _, numbers in self.periods)
        object.__setattr__(self, "parts", parts)

    @property
    def space(self) -> Space:
        return self.all.space

    @property
    def slots(self) -> int:
        return self.all.slots

    def ask(self, noise: Noise, clock: Clock) -> Plan:
        last = len(self.periods) - 1
        period = next((k for k, (until, _) in enumerate(self.periods) if clock.fraction < until), last)
        plan = self.parts[period].ask(noise, clock)
        table = constant(self.periods[period][1], torch.int64, plan.op.device)
        return Plan(plan.op, plan.strength, plan.on, None if plan.choice is None else table[plan.choice])

    def log_prob(self, plan: Plan) -> Tensor:
        """Given that the period is the one the plan was drawn in, of as many sub-policies as the first."""
        return self.all.log_prob(plan)


def policy_of(content: PolicyFile) -> SubPolicies | Scheduled:
    """The policy that a file describes."""
    rows = [row for _, period in content.periods for row in period]
    numbers: dict[tuple[str, str], int] = {}
    choices: list[SpaceEntry] = []
    table = []
    for row in rows:
        steps = []
        for entry in row:
            key = (entry.op, repr((sorted(entry.values.items()), entry.signed, sorted(entry.options.items()))))
            if key not in numbers:
                numbers[key] = len(choices)
                choices.append(_choice(entry))
            steps.append(SubPolicyStep(numbers[key], entry.probability, entry.strength))
        table.append(tuple(steps))
    if content.repeat > 1:
        table = [tuple(step for row in rows for step in row) for rows in product(table, repeat=content.repeat)]
    made = SubPolicies(Space(tuple(choices)), tuple(table))
    if len(content.periods) == 1:
        return made
    periods, start = [], 0
    for until, period in content.periods:
        periods.append((until, tuple(range(start, start + len(period)))))
        start += len(period)
    return Scheduled(made, tuple(periods))


def _choice(entry: PolicyEntry) -> SpaceEntry:
    laws: dict[str, Law] = {}
    operation = op(entry.op, **entry.options)
    for name, value in entry.values.items():
        least = operation.parameters[name].range.low
        laws[name] = Levels((value,), 1, True, _centre(entry.op), least) if entry.signed else Constant(value)
    return SpaceEntry(operation, laws, entry.options)


def _centre(name: str) -> float:
    """What a drawn sign mirrors an operation's value about."""
    return 1.0 if name in ENHANCE else 0.0


def value_of(name: str, parameter: str, law: Law, strength: float) -> tuple[float, bool]:
    """What a file says of a parameter at a strength: the value, and whether its sign is drawn.

    Raises InputError for a law that one value cannot say.
    """
    if not isinstance(law, Constant | Linear | Stepped | Levels | Ladder):
        raise InputError(f"{name}({parameter}) is drawn from {law}; a policy file holds one value per entry, so give a number")
    at = torch.full((1,), float(strength), dtype=torch.float32, device="cpu")
    value, other = (float(law.value(torch.full((1,), u, dtype=torch.float32, device="cpu"), at)) for u in (0.0, 0.9))
    if not isinstance(law, Levels):
        return value, value != other
    exact = law.number(strength)
    if law.signed and other != float(np.float32(2 * law.centre - exact)):
        raise InputError(f"{name}({parameter}): {other:g} beside {value:g} cannot be written as one value with a sign")
    return exact, value != other


def write_policy(content: PolicyFile) -> str:
    """The file's text."""
    lines = [f"augury_policy: {VERSION}", f"name: {_text(content.name)}"]
    if content.source:
        lines.append(f"source: {_text(content.source)}")
    if content.augment:
        lines.append(f"augment: {_text(content.augment)}")
    used = plugins.recorded([content.augment, *{entry.op for _, rows in content.periods for row in rows for entry in row}])
    if used:
        lines.append(yaml.safe_dump({"plugins": used}).rstrip())
    if content.repeat > 1:
        lines.append(f"repeat: {content.repeat}")
    if len(content.periods) == 1:
        lines += ["policies:", *_rows(content.periods[0][1], "  ")]
    elif content.periods:
        lines.append("schedule:")
        for until, period in content.periods:
            lines += [f"  - until: {until:.12g}", "    policies:", *_rows(period, "      ")]
    if content.provenance:
        lines.append(yaml.safe_dump({"provenance": content.provenance}, sort_keys=False).rstrip())
    return "\n".join(lines) + "\n"


def _rows(rows: tuple[PolicyRow, ...], indent: str) -> list[str]:
    lines = []
    written: dict[int, str] = {}  # by identity: sampled sequences repeat few entries
    for row in rows:
        for number, entry in enumerate(row):
            text = written[id(entry)] = written.get(id(entry)) or _flow(entry)
            lines.append(f"{indent}{'- - ' if number == 0 else '  - '}{text}")
    return lines


def _flow(entry: PolicyEntry) -> str:
    content: dict[str, Any] = {"op": entry.op, "probability": entry.probability, "strength": _round(entry.strength)}
    if entry.values:
        mirrored = entry.signed and entry.op in ENHANCE
        content["values"] = {name: _round(value, mirrored) for name, value in entry.values.items()}
    if entry.signed:
        content["signed"] = True
    if entry.options:
        content["options"] = entry.options
    return yaml.safe_dump(content, default_flow_style=True, sort_keys=False, width=10**6).strip()


def _round(value: float, mirrored: bool = False) -> float:
    """The shortest decimal that is the same float32, which is what operations are given; with `mirrored` its mirror image
    about 1 too."""

    def given(number: float) -> tuple[np.float32, np.float32]:
        return np.float32(number), np.float32(2 - number if mirrored else 0)

    shortened = (float(f"{value:.{digits}g}") for digits in range(1, 18))
    return next((number for number in shortened if given(number) == given(value)), value)


def _text(value: str) -> str:
    return yaml.safe_dump(value, width=10**6, default_style='"').strip()
