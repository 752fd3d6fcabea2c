"""Metadata on the fields of a settings dataclass, from which the command line derives its flags and their help."""

import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
_VALUES: dict[Any, str] = {int: "N", float: "X", str: "NAME", bool: "true|false"}
_LONGEST_CHOICE = 34  # characters of `a|b|c` beside a flag; longer lists are named in the help's text


@dataclass(frozen=True)
class Flag:
    """A setting as a flag. value: the placeholder for its value in the help; default: the default, in words."""

    name: str
    group: str
    text: str
    value: str
    default: str

    @property
    def option(self) -> str:
        return f"--{self.name.replace('_', '-')}"

    @property
    def help(self) -> str:
        return f"{self.text} (default: {self.default})" if self.default else self.text


@dataclass(frozen=True)
class _FlagHelp:
    group: str
    text: str
    value: str
    unset: str


def flag(default: T, group: str, text: str, *, value: str = "", unset: str = "") -> T:
    """A field's default together with the help for its flag; use it in place of `dataclasses.field`.

    group: the heading in the help. value: the placeholder for its value, derived from the type if empty. unset: what a
    default of None means, in words. Types, choices and defaults are read from the field.
    """
    return field(default=default, metadata={"flag": _FlagHelp(group, text, value, unset)})


def required(group: str, text: str, *, value: str = "") -> Any:
    """Like `flag`, for a field without a default."""
    return field(metadata={"flag": _FlagHelp(group, text, value, "")})


def flags_of(kind: type, defaults: Mapping[str, object] | None = None) -> Iterator[Flag]:
    """The flags of a settings dataclass in field order. defaults: a command's own defaults, where they differ."""
    hints = get_type_hints(kind)  # without the limits of `Annotated`
    for part in fields(kind):
        words = part.metadata.get("flag")
        if words is not None:
            default = (defaults or {}).get(part.name, _default(part))
            plain = _plain(hints[part.name])
            value, text = words.value or _value(plain), words.text
            if get_origin(plain) is Literal and not words.value and len(value) > _LONGEST_CHOICE:
                value, text = "NAME", f"{text}: {_listed(get_args(plain))}"
            yield Flag(part.name, words.group, text, value, _shown(default) or words.unset)


def _default(part: "Field[Any]") -> Any:
    return None if part.default is MISSING else part.default


def _plain(hint: object) -> Any:
    """The type without None."""
    if get_origin(hint) in (Union, types.UnionType):
        return _plain(next(each for each in get_args(hint) if each is not type(None)))
    return hint


def _value(plain: object) -> str:
    if get_origin(plain) is Literal:
        return "|".join(map(str, get_args(plain)))
    if get_origin(plain) is tuple:
        one = _value(_plain(get_args(plain)[0]))
        return f"{one},{one},..."
    return _VALUES.get(plain, "VALUE")


def _listed(words: tuple[object, ...]) -> str:
    *most, last = map(str, words)
    return f"{', '.join(most)} or {last}" if most else last


def _shown(default: object) -> str:
    if default is None or default == ():
        return ""
    if isinstance(default, tuple):
        return ",".join(map(_shown, default))
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default)
