"""What other libraries call an augmentation: for the message on an unknown name, and for the documentation."""

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files

import yaml

_LONGEST_ECHO = 60  # characters of a name that are repeated


@dataclass(frozen=True)
class OtherName:
    """A name of another library. ours: the chain that does it; nearest: what comes closest where none does; differs: what is
    otherwise, in words."""

    library: str
    name: str
    ours: str = ""
    nearest: str = ""
    differs: str = ""


@functools.cache
def other_names() -> tuple[OtherName, ...]:
    """The whole table, by library."""
    text = files("augury.core").joinpath("other_names.yaml").read_text(encoding="utf-8")
    table: dict[str, dict[str, dict[str, str]]] = yaml.safe_load(text)
    return tuple(OtherName(library, name, **entry) for library, names in table.items() for name, entry in names.items())


def hint(name: str, ours: Iterable[str] = ()) -> str:
    """What an unknown name means elsewhere and here, as the end of a message; empty where no library has it, and where one of
    `ours` is written alike but for case and signs, unless a library writes it exactly so."""
    if re.match(r"(rand|originalr?|v0r?|augmix)-\w", name) and len(name) < _LONGEST_ECHO:
        return f"`augury policy import {name}` says timm's string here"
    wanted = _plain(name)
    if wanted in map(_plain, ours) and all(entry.name != name for entry in other_names()):
        return ""
    plain = [(_plain(entry.name), entry) for entry in other_names()]
    found = [e for own, e in plain if own == wanted] or [e for own, e in plain if own.removeprefix("random") == wanted]
    meant: dict[str, list[OtherName]] = {}
    for entry in found:
        meant.setdefault(entry.ours, []).append(entry)
    known = [f"{ours} ({_whose(entries)})" for ours, entries in meant.items() if ours]
    if known:
        return f"did you mean {' or '.join(known)}?"
    if not found:
        return ""
    first = found[0]
    nearest = f"; the nearest is {first.nearest}" if first.nearest else f": {first.differs}" if first.differs != "none" else ""
    return f"there is none of {_whose(found)}{nearest}"


def _whose(entries: list[OtherName]) -> str:
    owners = [f"{entry.library}'" if entry.library.endswith("s") else f"{entry.library}'s" for entry in entries]
    return f"{' and '.join(owners)} {entries[0].name}"


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
