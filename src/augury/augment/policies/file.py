"""Policy files: a policy as YAML that people can read, and that nothing is executed from.

    augury_policy: 1                  # the version of this format
    name: my policy
    source: where it comes from
    policies:                         # one of these is drawn per image; its operations are applied in order
      - - {op: rotate, probability: 0.7, strength: 0.2, values: {degrees: 6}, signed: true}
        - {op: translate_x, probability: 0.3, strength: 0.9, values: {fraction: 0.28125}, signed: true}
    repeat: 2                         # so many of them instead, independently, one after the other (RandAugment's num_ops)
    schedule:                         # instead of `policies`: lists of them over the training
      - {until: 0.5, policies: [...]} # up to this share of the epochs
    provenance: {...}                 # how it was found; kept and shown

`values` are what is executed, in the operation's own units; with `signed` the sign (for enhancement factors the side of
1) is drawn. `strength` says where on its ladder the value lies, for logs and plots. `options` are the operation's fixed
options. Errors name the line.
"""

from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from torch import Tensor

from augury.augment.build import op
from augury.augment.policies.fixed import Step, SubPolicies
from augury.core import registry
from augury.core.errors import InputError
from augury.core.laws import Constant, Law, Linear
from augury.core.noise import Noise
from augury.core.plan import Choice, Clock, Plan, Space

VERSION = 1
MOST_ROWS = 5000
ENHANCE = ("brightness", "color", "contrast", "sharpness")
Row = tuple["Entry", ...]


@dataclass(frozen=True)
class Entry:
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

    repeat: how many sub-policies an image gets, drawn independently.
    """

    name: str
    periods: tuple[tuple[float, tuple[Row, ...]], ...]
    source: str = ""
    provenance: dict[str, Any] = field(default_factory=dict)
    repeat: int = 1


@dataclass(frozen=True)
class Scheduled:
    """Sub-policies that change over the training: of each period those in `numbers` are drawn from."""

    all: SubPolicies
    periods: tuple[tuple[float, tuple[int, ...]], ...]

    @property
    def space(self) -> Space:
        return self.all.space

    @property
    def slots(self) -> int:
        return self.all.slots

    def now(self, clock: Clock) -> SubPolicies:
        """The sub-policies of the clock's period, over the whole schedule's space."""
        numbers = next((n for until, n in self.periods if clock.fraction < until), self.periods[-1][1])
        padding = Step(0, 0.0, 0.0)  # keeps the number of slots
        rows = tuple(self.all.table[k] + (padding,) * (self.slots - len(self.all.table[k])) for k in numbers)
        return SubPolicies(self.space, rows)

    def ask(self, noise: Noise, clock: Clock) -> Plan:
        plan = self.now(clock).ask(noise, clock)
        numbers = next((n for until, n in self.periods if clock.fraction < until), self.periods[-1][1])
        table = plan.op.new_tensor(numbers)
        return Plan(plan.op, plan.strength, plan.on, None if plan.choice is None else table[plan.choice])

    def log_prob(self, plan: Plan) -> Tensor:
        """Given that the period is the one the plan was drawn in, of as many sub-policies as the first."""
        return self.all.log_prob(plan)

    def tell(self, plan: Plan, reward: Tensor) -> None:
        """Learns nothing."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Has no state."""


def policy_of(content: PolicyFile) -> SubPolicies | Scheduled:
    """The policy that a file describes."""
    rows = [row for _, period in content.periods for row in period]
    entries: list[tuple[str, str]] = []
    choices: list[Choice] = []
    table = []
    for row in rows:
        steps = []
        for entry in row:
            key = (entry.op, repr((sorted(entry.values.items()), entry.signed, sorted(entry.options.items()))))
            if key not in entries:
                entries.append(key)
                choices.append(_choice(entry))
            steps.append(Step(entries.index(key), entry.probability, entry.strength))
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


def _choice(entry: Entry) -> Choice:
    laws: dict[str, Law] = {}
    for name, value in entry.values.items():
        centre = 1.0 if entry.op in ENHANCE else 0.0
        laws[name] = Linear(value, value, signed=True, centre=centre) if entry.signed else Constant(value)
    return Choice(op(entry.op, **entry.options), laws, entry.options)


def write_policy(content: PolicyFile) -> str:
    """The file's text."""
    lines = [f"augury_policy: {VERSION}", f"name: {_text(content.name)}"]
    if content.source:
        lines.append(f"source: {_text(content.source)}")
    if content.repeat > 1:
        lines.append(f"repeat: {content.repeat}")
    if len(content.periods) == 1:
        lines += ["policies:", *_rows(content.periods[0][1], "  ")]
    else:
        lines.append("schedule:")
        for until, period in content.periods:
            lines += [f"  - until: {until:.12g}", "    policies:", *_rows(period, "      ")]
    if content.provenance:
        lines.append(yaml.safe_dump({"provenance": content.provenance}, sort_keys=False).rstrip())
    return "\n".join(lines) + "\n"


def _rows(rows: tuple[Row, ...], indent: str) -> list[str]:
    lines = []
    written: dict[int, str] = {}  # by identity: sampled sequences repeat few entries
    for row in rows:
        for number, entry in enumerate(row):
            text = written[id(entry)] = written.get(id(entry)) or _flow(entry)
            lines.append(f"{indent}{'- - ' if number == 0 else '  - '}{text}")
    return lines


def _flow(entry: Entry) -> str:
    content: dict[str, Any] = {"op": entry.op, "probability": entry.probability, "strength": _round(entry.strength)}
    if entry.values:
        content["values"] = {name: _round(value) for name, value in entry.values.items()}
    if entry.signed:
        content["signed"] = True
    if entry.options:
        content["options"] = entry.options
    return yaml.safe_dump(content, default_flow_style=True, sort_keys=False, width=10**6).strip()


def _round(value: float) -> float:
    """The shortest decimal that is the same float32, which is what operations are given."""
    return float(str(np.float32(value)))


def _text(value: str) -> str:
    return yaml.safe_dump(value, width=10**6, default_style='"').strip()


def read_policy(path: Path | str) -> PolicyFile:
    """A policy file, checked. Raises InputError naming the file, the line and the remedy."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a policy file ({type(error).__name__}); give a YAML file") from None
    return parse_policy(text, str(path))


def parse_policy(text: str, where: str) -> PolicyFile:
    """The content of a policy file's text. Raises InputError naming `where` and the line."""
    try:
        # The loader in C, where PyYAML has it, is ten times faster; files of thousands of lines are common.
        node = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise InputError(f"{where}{f' line {mark.line + 1}' if mark else ''}: not valid YAML") from None
    reader = _Reader(where, text.splitlines())
    top = reader.mapping(node, {"augury_policy", "name", "source", "policies", "repeat", "schedule", "provenance"}, "a policy file")
    if "augury_policy" not in top:
        raise InputError(f"{where}: the line 'augury_policy: {VERSION}' is missing; this is no policy file")
    version = reader.plain(top["augury_policy"])
    if not isinstance(version, int) or version > VERSION or version < 1:
        raise reader.fail(top["augury_policy"], f"format {version} is not known to this version of Augury (it knows {VERSION})")
    if ("policies" in top) == ("schedule" in top):
        raise InputError(f"{where}: give either policies or schedule")
    periods = [(1.0, reader.rows(top["policies"]))] if "policies" in top else reader.periods(top["schedule"])
    texts = {key: str(reader.plain(top[key])) for key in ("name", "source") if key in top}
    provenance = reader.plain(top["provenance"]) if "provenance" in top else {}
    repeat = reader.repeat(top["repeat"], periods) if "repeat" in top else 1
    return PolicyFile(texts.get("name", Path(where).stem), tuple(periods), texts.get("source", ""), provenance, repeat)


@dataclass(frozen=True)
class _Reader:
    """YAML nodes to entries; every refusal names its line. seen: entries by their text, since most are repetitions."""

    where: str
    lines: list[str]
    seen: dict[str, Entry] = field(default_factory=dict)

    def fail(self, node: Any, message: str) -> InputError:
        return InputError(f"{self.where} line {node.start_mark.line + 1}: {message}")

    def plain(self, node: Any) -> Any:
        try:
            return yaml.safe_load(yaml.serialize(node))
        except yaml.YAMLError:
            raise self.fail(node, "only plain values are read from a policy file") from None

    def mapping(self, node: Any, known: set[str], what: str) -> dict[str, Any]:
        if not isinstance(node, yaml.MappingNode):
            if node is None:
                raise InputError(f"{self.where}: the file is empty")
            raise self.fail(node, f"{what} is a mapping of {', '.join(sorted(known))}")
        found = {}
        for key, value in node.value:
            if key.value not in known:
                raise self.fail(key, registry.unknown("key", str(key.value), sorted(known)))
            found[key.value] = value
        return found

    def sequence(self, node: Any, what: str) -> list[Any]:
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            raise self.fail(node, f"{what} must be a list with at least one entry")
        return list(node.value)

    def rows(self, node: Any) -> tuple[Row, ...]:
        return tuple(
            tuple(self.entry(item) for item in self.sequence(row, "a sub-policy")) for row in self.sequence(node, "policies")
        )

    def periods(self, node: Any) -> list[tuple[float, tuple[Row, ...]]]:
        found, before = [], 0.0
        for item in self.sequence(node, "schedule"):
            part = self.mapping(item, {"until", "policies"}, "a period")
            if set(part) != {"until", "policies"}:
                raise self.fail(item, "a period needs until and policies")
            until = self.number(part["until"], "until", 0, 1)
            if until <= before:
                raise self.fail(part["until"], f"until: {until:g} must be above the period before, {before:g}")
            found.append((until, self.rows(part["policies"])))
            before = until
        return found

    def repeat(self, node: Any, periods: list[tuple[float, tuple[Row, ...]]]) -> int:
        value = self.plain(node)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1 or len(periods) > 1:
            raise self.fail(node, f"repeat: {value} must be a whole number from 1, beside policies, not a schedule")
        if len(periods[0][1]) ** value > MOST_ROWS:
            raise self.fail(node, f"repeat: {value} of {len(periods[0][1])} sub-policies are too many; give less")
        return value

    def number(self, node: Any, name: str, low: float, high: float) -> float:
        value = self.plain(node)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self.fail(node, f"{name}: {value} must be a number from {low:g} to {high:g}")
        return float(value)

    def entry(self, node: Any) -> Entry:
        start, end = node.start_mark, node.end_mark
        if start.line != end.line:
            return self.fresh_entry(node)
        text = self.lines[start.line][start.column : end.column]
        if text not in self.seen:
            self.seen[text] = self.fresh_entry(node)
        return self.seen[text]

    def fresh_entry(self, node: Any) -> Entry:
        part = self.mapping(node, {"op", "probability", "strength", "values", "signed", "options"}, "an operation")
        if "op" not in part:
            raise self.fail(node, "an operation needs op, its name")
        name = str(self.plain(part["op"]))
        if not registry.has("op", name):
            raise self.fail(part["op"], registry.unknown("operation", name, registry.names("op")))
        options = self.plain(part["options"]) if "options" in part else {}
        try:
            made = op(name, **options)
        except (InputError, TypeError) as error:
            raise self.fail(part["options"], str(error)) from None
        values = self.values(part["values"], made) if "values" in part else {}
        signed = self.plain(part["signed"]) if "signed" in part else False
        if not isinstance(signed, bool):
            raise self.fail(part["signed"], f"signed: {signed} must be true or false")
        probability = self.number(part["probability"], "probability", 0, 1) if "probability" in part else 1.0
        strength = self.number(part["strength"], "strength", 0, 10) if "strength" in part else 1.0
        return Entry(name, probability, strength, values, signed, options)

    def values(self, node: Any, made: Any) -> dict[str, float]:
        found = {}
        if not isinstance(node, yaml.MappingNode):
            raise self.fail(node, f"values: a mapping of {', '.join(made.parameters) or 'nothing'}")
        for key, value in node.value:
            if key.value not in made.parameters:
                raise self.fail(key, registry.unknown(f"parameter of {made.name}", str(key.value), list(made.parameters)))
            limits = made.parameters[key.value].range
            found[str(key.value)] = self.number(value, f"{made.name}({key.value})", limits.low, limits.high)
        return found
