"""Reads policy files; every error names the line."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from augury.augment.ops.build import op, option_names
from augury.augment.policies.file import MOST_ROWS, VERSION, PolicyEntry, PolicyFile, PolicyRow
from augury.core import plugins, registry, yaml_text
from augury.core.errors import InputError
from augury.core.grammar import OLD_OPTIONS, words_in
from augury.core.op import Op
from augury.core.options import Chain, parse_chain
from augury.core.text import shortened

# The most sub-policies of a list, and operations that an image goes through, that are read from a file.
MOST_READ, MOST_STEPS = 20_000, 50
# What `augment:` may say is known to those who know all names; a reader of files is handed their check.
Check = Callable[[Chain], None]


def read_policy(path: Path | str, check_augment: Check) -> PolicyFile:
    """A policy file, checked. Raises InputError naming the file, the line and the remedy.

    check_augment: refuses a chain under `augment:` whose names are unknown, by an InputError.
    """
    try:
        text = yaml_text.read_text(path, str(path))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no UTF-8 text"
        raise InputError(f"{path}: cannot be read as a policy file ({reason}); give a YAML file") from None
    return parse_policy(text, str(path), check_augment)


def parse_policy(text: str, where: str, check_augment: Check) -> PolicyFile:
    """The content of a policy file's text. Raises InputError naming `where` and the line."""
    node = yaml_text.compose(text, where, yaml_text.POLICIES)
    reader = _Reader(where, text.splitlines(), check_augment)
    known = {"augury_policy", "name", "source", "policies", "repeat", "schedule", "augment", "provenance", "plugins"}
    top = reader.mapping(node, known, "a policy file")
    if "augury_policy" not in top:
        raise InputError(f"{where}: the line 'augury_policy: {VERSION}' is missing; this is no policy file")
    version = reader.plain(top["augury_policy"])
    if not isinstance(version, int) or isinstance(version, bool) or version > VERSION or version < 1:
        raise reader.fail(top["augury_policy"], f"format {version} is not known to this version of Augury (it knows {VERSION})")
    if "plugins" in top:
        plugins.check(reader.plain(top["plugins"]), where)
    if sum(key in top for key in ("policies", "schedule", "augment")) != 1:
        raise InputError(f"{where}: give either policies, schedule or augment")
    augment = reader.augment(top["augment"]) if "augment" in top else ""
    periods = reader.periods(top["schedule"]) if "schedule" in top else []
    periods = [(1.0, reader.rows(top["policies"]))] if "policies" in top else periods
    texts = {key: str(reader.plain(top[key])) for key in ("name", "source") if key in top}
    provenance = reader.plain(top["provenance"]) if "provenance" in top else {}
    if not isinstance(provenance, dict):
        raise reader.fail(top["provenance"], "provenance is a mapping, how the policy was found")
    if "repeat" in top and "policies" not in top:
        raise reader.fail(top["repeat"], "repeat: belongs beside policies; remove it")
    repeat = reader.repeat(top["repeat"], periods) if "repeat" in top else 1
    return PolicyFile(texts.get("name", Path(where).stem), tuple(periods), texts.get("source", ""), provenance, repeat, augment)


@dataclass(frozen=True)
class _Reader:
    """YAML nodes to entries; every refusal names its line. seen: entries by their text, since most are repetitions."""

    where: str
    lines: list[str]
    check_augment: Check
    seen: dict[str, PolicyEntry] = field(default_factory=dict)

    def fail(self, node: Any, message: str) -> InputError:
        return InputError(f"{self.where} line {node.start_mark.line + 1}: {message}")

    def augment(self, node: object) -> str:
        """Text of the grammar whose names are registered; files in files would go round in circles."""
        text = str(self.plain(node))
        try:
            chain = parse_chain(text, "augment")
            nested = any(Path(word).suffix.lower() in (".yaml", ".yml") for word in words_in(chain))
            if nested or any(Path(spec.name).suffix for spec in chain.stages):
                raise InputError("augment: a registered augmentation, not another file")
            self.check_augment(chain)
        except InputError as error:
            raise self.fail(node, str(error)) from None
        return text

    def plain(self, node: Any) -> Any:
        try:
            return yaml_text.value_of(node, self.where)
        except InputError:
            raise self.fail(node, "only plain values are read from a policy file") from None

    def mapping(self, node: object, known: set[str], what: str) -> dict[str, Any]:
        if not isinstance(node, yaml.MappingNode):
            if node is None:
                raise InputError(f"{self.where}: the file is empty")
            raise self.fail(node, f"{what} is a mapping of {', '.join(sorted(known))}")
        found = {}
        for key, value in node.value:
            self.word(key)
            if key.value not in known:
                raise self.fail(key, registry.unknown("key", key.value, sorted(known)))
            if key.value in found:
                raise self.fail(key, f"{key.value} stands there twice; keep one of them")
            found[key.value] = value
        return found

    def word(self, key: object) -> None:
        if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
            raise self.fail(key, "a key must be a word; put quotes around it if it is one")

    def sequence(self, node: object, what: str) -> list[Any]:
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            raise self.fail(node, f"{what} must be a list with at least one entry")
        return list(node.value)

    def rows(self, node: object) -> tuple[PolicyRow, ...]:
        found = self.sequence(node, "policies")
        if len(found) > MOST_READ:
            raise self.fail(node, f"policies: {len(found)} sub-policies are too many; at most {MOST_READ} are read")
        rows = [self.sequence(row, "a sub-policy") for row in found]
        longest = max(rows, key=len)
        if len(longest) > MOST_STEPS:
            raise self.fail(longest[0], f"a sub-policy of {len(longest)} operations is too long; at most {MOST_STEPS} are applied")
        return tuple(tuple(self.entry(item) for item in row) for row in rows)

    def periods(self, node: object) -> list[tuple[float, tuple[PolicyRow, ...]]]:
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

    def repeat(self, node: object, periods: list[tuple[float, tuple[PolicyRow, ...]]]) -> int:
        value = self.plain(node)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1 or len(periods) > 1:
            raise self.fail(node, f"repeat: {value} must be a whole number from 1, beside policies, not a schedule")
        # A bounded exponent first: even of one sub-policy a million repetitions would be a million slots.
        if value * max(map(len, periods[0][1])) > MOST_STEPS or len(periods[0][1]) ** value > MOST_ROWS:
            raise self.fail(node, f"repeat: {value} of {len(periods[0][1])} sub-policies are too many; give less")
        return value

    def number(self, node: Any, name: str, low: float, high: float) -> float:
        value = self.plain(node)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high or abs(value) == math.inf:
            raise self.fail(node, f"{name}: {shortened(str(value))} must be a number from {low:g} to {high:g}")
        return float(value)

    def entry(self, node: Any) -> PolicyEntry:
        start, end = node.start_mark, node.end_mark
        if start.line != end.line:
            return self.fresh_entry(node)
        text = self.lines[start.line][start.column : end.column]
        if text not in self.seen:
            self.seen[text] = self.fresh_entry(node)
        return self.seen[text]

    def fresh_entry(self, node: object) -> PolicyEntry:
        part = self.mapping(node, {"op", "probability", "strength", "values", "signed", "options"}, "an operation")
        if "op" not in part:
            raise self.fail(node, "an operation needs op, its name")
        name = str(self.plain(part["op"]))
        if not registry.has("op", name):
            raise self.fail(part["op"], registry.unknown("operation", name, registry.names("op")))
        made, options = self.operation(name, part.get("options", None))
        values = self.values(part["values"], made) if "values" in part else {}
        signed = self.plain(part["signed"]) if "signed" in part else False
        if not isinstance(signed, bool):
            raise self.fail(part["signed"], f"signed: {signed} must be true or false")
        probability = self.number(part["probability"], "probability", 0, 1) if "probability" in part else 1.0
        strength = self.number(part["strength"], "strength", 0, 10) if "strength" in part else 1.0
        return PolicyEntry(name, probability, strength, values, signed, options)

    def operation(self, name: str, node: object) -> tuple[Op, dict[str, Any]]:
        """The operation with its fixed options, which are plain values by the names that it knows."""
        if node is None:
            return op(name), {}
        known = option_names(name)
        options = {key: self.plain(value) for key, value in self.mapping(node, set(known), f"options of {name}").items()}
        for key, value in options.items():
            if isinstance(value, dict | list | None):
                raise self.fail(node, f"{name}({key}): a number or a word, found {shortened(repr(value))}")
        try:
            return op(name, **options), options
        except InputError as error:
            raise self.fail(node, str(error)) from None

    def values(self, node: Any, made: Any) -> dict[str, float]:
        found = {}
        if not isinstance(node, yaml.MappingNode):
            raise self.fail(node, f"values: a mapping of {', '.join(made.parameters) or 'nothing'}")
        for key, value in node.value:
            self.word(key)
            name = OLD_OPTIONS.get((made.name, str(key.value)), str(key.value))
            if name not in made.parameters:
                raise self.fail(key, registry.unknown(f"parameter of {made.name}", name, list(made.parameters)))
            if name in found:
                raise self.fail(key, f"{name} stands there twice; keep one of them")
            limits = made.parameters[name].range
            found[name] = self.number(value, f"{made.name}({name})", limits.low, limits.high)
        return found
