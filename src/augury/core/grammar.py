"""Names with options: the text shared by the command line, YAML files and Python, and its parsed form.

    cutout(length=8)                       a name with options
    crop+flip+cutout(length=8)             a chain of stages
    none,standard,keep(cutout, tau=0.6)    a list; an option may itself be a name with options

Text cannot name classes or modules: names are looked up in the registry and options are checked against their declared
types (`augury.core.options`), so that no file can import or execute code.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from augury.core.errors import InputError
from augury.core.text import shortened

# What options were called before, by the name they belong to; files and texts that still say so are read as they were.
OLD_OPTIONS = {("mixup", "keep"): "weight", ("cutmix", "keep"): "weight", ("uncertainty", "keep"): "selected"}


def renamed(name: str, options: Mapping[str, object]) -> dict[str, Any]:
    """Options with their names of today."""
    return {new if (new := OLD_OPTIONS.get((name, key), key)) not in options else key: value for key, value in options.items()}


@dataclass(frozen=True)
class Spec:
    """A name with options, as written. `first` holds values without a key (at most one is accepted)."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    first: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", renamed(self.name, self.options))

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        parts = [show(v) for v in self.first] + [f"{_bare(k)}={show(v)}" for k, v in self.options.items()]
        return f"{_bare(self.name)}({', '.join(parts)})" if parts else _bare(self.name)


@dataclass(frozen=True)
class Chain:
    """Stages in order, written with `+`. A single name is a chain of one."""

    stages: tuple[Spec, ...]

    def __str__(self) -> str:
        return "+".join(map(str, self.stages)) or "none"


_TOKEN = re.compile(
    r"\s*(?:(?P<word>\"[^\"\x00-\x1f\x7f-\x9f\u2028\u2029]*\"|'[^'\x00-\x1f\x7f-\x9f\u2028\u2029]*'"
    r"|[A-Za-z0-9_./:~-]+(?:(?<=[0-9]e)\+[0-9]+)?)|(?P<mark>[(),=+\[\]]))"
)
_BARE = re.compile(r"[A-Za-z0-9_./:~-]+")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$", re.IGNORECASE)
_WORDS: dict[str, Any] = {"true": True, "false": False, "none": None, "null": None, "inf": math.inf, "-inf": -math.inf}
_DEEPEST = 20


def parse_list(text: str, where: str) -> list[Chain]:
    """`"none,crop+flip"` as chains; InputError naming `where` and the part of the text that cannot be parsed."""
    parser = _Parser(text, where)
    chains = [parser.chain()]
    while parser.take(","):
        chains.append(parser.chain())
    parser.end()
    return chains


def parse_chain(text: str, where: str) -> Chain:
    """One chain, `"crop+flip+cutout(length=8)"`; InputError if it cannot be parsed."""
    parser = _Parser(text, where)
    chain = parser.chain()
    if parser.take(","):
        raise InputError(
            f"{where}: {shortened(repr(text))} is a list; one chain is expected (`+` joins stages, `augury compare` takes lists)"
        )
    parser.end()
    return chain


def parse_spec(text: str, where: str) -> Spec:
    """One name with options, `"erm"` or `"ait(weight=1)"`; InputError if it is a chain or cannot be parsed."""
    chain = parse_chain(text, where)
    if len(chain.stages) != 1:
        raise InputError(f"{where}: {shortened(repr(text))} is a chain; one name is expected here")
    return chain.stages[0]


def chain_from(value: object, where: str) -> Chain:
    """A chain from text, from YAML (`[crop, {cutout: {length: 8}}]`), from a Spec or from a Chain."""
    if isinstance(value, Chain):
        return value
    if isinstance(value, Spec):
        return Chain((value,))
    if value is None:
        return Chain((Spec("none"),))
    if isinstance(value, str):
        return parse_chain(value, where)
    if isinstance(value, list):
        return Chain(tuple(spec for item in value for spec in chain_from(item, where).stages))
    if isinstance(value, dict) and len(value) == 1:
        ((name, options),) = value.items()
        return Chain((_spec_from_mapping(name, options, where),))
    raise InputError(f"{where}: expected a name, a list of stages or one {{name: options}} mapping, found {shortened(repr(value))}")


def text_from(value: object, where: str, *, several: bool = False) -> str:
    """An augmentation or strategy from a YAML file as text in the grammar.

    Text is returned unchanged. With `several`, a list holds alternatives (`none,crop+flip`), otherwise stages (`crop+flip`).
    """
    if isinstance(value, str):
        return value
    if several and isinstance(value, list):
        return ",".join(str(chain_from(item, where)) for item in value)
    return str(chain_from(value, where))


def words_in(value: object) -> Iterator[str]:
    """Every name and word of a chain, those within brackets too."""
    match value:
        case Chain(stages):
            for stage in stages:
                yield from words_in(stage)
        case Spec(name, options, first):
            yield name
            for part in (*options.values(), *first):
                yield from words_in(part)
        case list() | tuple():
            for part in value:
                yield from words_in(part)
        case str():
            yield value


def _spec_from_mapping(name: object, options: object, where: str) -> Spec:
    if options is None:
        return parse_spec(str(name), where)
    if not isinstance(options, dict):
        return Spec(str(name), {}, (_from_yaml(options, where),))
    return Spec(str(name), {str(k): _from_yaml(v, where) for k, v in options.items()})


def _from_yaml(value: object, where: str) -> Any:
    if isinstance(value, str):
        return _Parser(value, where).whole_value()
    if isinstance(value, dict):
        return chain_from(value, where).stages[0]
    return [_from_yaml(v, where) for v in value] if isinstance(value, list) else value


def show(value: object) -> str:
    """A value as text in the grammar; parsing the text gives the value back."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(show, value))}]"
    if isinstance(value, float):
        short = f"{value:.12g}"
        return short if float(short) == value else repr(value)
    if isinstance(value, str) and (value.lower() in _WORDS or _NUMBER.match(value)):
        return f'"{value}"'
    return _bare(value) if isinstance(value, str) else str(value)


def _bare(word: str) -> str:
    """The word, quoted where the grammar requires it."""
    if _BARE.fullmatch(word):
        return word
    return f"'{word}'" if '"' in word else f'"{word}"'


class _Parser:
    """A recursive-descent parser of one line of text."""

    def __init__(self, text: str, where: str) -> None:
        self.text, self.where, self.position, self.depth, self.quoted = text, where, 0, 0, False

    def fail(self, expected: str) -> InputError:
        rest = self.text[self.position :].strip()
        found = f"found {shortened(repr(rest))}" if rest else "the text ends"
        return InputError(f"{self.where}: cannot read {shortened(repr(self.text))}: {expected} expected, {found}")

    def peek(self, group: str) -> str | None:
        match = _TOKEN.match(self.text, self.position)
        return match.group(group) if match else None

    def take(self, mark: str) -> bool:
        match = _TOKEN.match(self.text, self.position)
        if match and match.group("mark") == mark:
            self.position = match.end()
            return True
        return False

    def word(self, expected: str) -> str:
        match = _TOKEN.match(self.text, self.position)
        if not match or match.group("word") is None:
            raise self.fail(expected)
        self.position = match.end()
        word = match.group("word")
        self.quoted = word[0] in "\"'"
        return word[1:-1] if self.quoted else word

    def end(self) -> None:
        if self.text[self.position :].strip():
            raise self.fail("',' or '+'")

    def chain(self) -> Chain:
        stages = [self.spec()]
        while self.take("+"):
            stages.append(self.spec())
        return Chain(tuple(stages))

    def spec(self) -> Spec:
        name = self.word("a name")
        if not self.take("("):
            return Spec(name)
        options: dict[str, Any] = {}
        first: list[Any] = []
        while not self.take(")"):
            start = self.position
            key = self.peek("word")
            if key is not None:
                self.word("an option")
            if key is not None and self.take("="):
                if key in options:
                    raise InputError(f"{self.where}: {name} is given {key!r} twice")
                options[key] = self.value()
            else:
                self.position = start
                first.append(self.value())
            if not self.take(",") and self.peek("mark") != ")":
                raise self.fail("',' or ')'")
        return Spec(name, options, tuple(first))

    def value(self) -> Any:
        if self.depth == _DEEPEST:
            raise self.fail(f"at most {_DEEPEST} levels of brackets")
        self.depth += 1
        value = self._value()
        self.depth -= 1
        return value

    def _value(self) -> Any:
        if self.take("["):
            items = []
            while not self.take("]"):
                items.append(self.value())
                if not self.take(",") and self.peek("mark") != "]":
                    raise self.fail("',' or ']'")
            return items
        start = self.position
        word = self.word("a value")
        if self.peek("mark") in ("(", "+"):
            self.position = start
            chain = self.chain()
            return chain.stages[0] if len(chain.stages) == 1 else chain
        if self.quoted:
            return word
        if word.lower() in _WORDS:
            return _WORDS[word.lower()]
        if _NUMBER.match(word):
            return int(word) if re.fullmatch(r"-?\d{1,300}", word) else float(word)
        return word

    def whole_value(self) -> Any:
        value = self.value()
        self.end()
        return value


def joined_text(texts: Sequence[str | None]) -> str | None:
    """The text of a chain of stages; None if one of them has no text."""
    return "+".join(map(str, texts)) or "none" if all(text is not None for text in texts) else None
