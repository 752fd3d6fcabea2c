"""The policy files that a run uses: their content is kept, so that later edits of the files do not alter the run."""

import functools
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from augury.augment.names import is_policy_file
from augury.augment.policies.file_reader import parse_policy
from augury.core.errors import InputError
from augury.core.files import read_text
from augury.core.grammar import Chain, Spec, parse_list
from augury.train.engine.settings import POLICY_FILES

_NAMING = ("augment", "augment2", "controls")


def contents(config: Mapping[str, object]) -> dict[str, str]:
    """The text of every policy file that settings name, by its name as written; missing files are left out."""
    found: dict[str, str] = {}
    for key in _NAMING:
        for name in _named(config.get(key)):
            try:
                found[name] = read_text(name)
            except (OSError, ValueError):
                continue
    return found


def by_content(config: Mapping[str, object], files: Mapping[str, str], *, as_written: bool = False) -> dict[str, Any]:
    """Settings with policy files' names replaced by hashes of their policies, so that the same policy in another place is equal.

    as_written: hash the texts, including comments, as in older checkpoints.
    """
    replaced = dict(config)
    for key in _NAMING:
        value = replaced.get(key)
        for name, text in sorted(files.items(), key=lambda item: -len(item[0])):
            if isinstance(value, str):
                said = text if as_written else _policy(text)
                value = value.replace(name, f"policy {hashlib.blake2b(said.encode(), digest_size=8).hexdigest()}")
        replaced[key] = value
    return replaced


def refuse_edited(kept: Mapping[str, str] | None, where: str) -> None:
    """InputError naming a policy file that is missing or whose policy differs from the text that a run keeps."""
    for name, text in (kept or {}).items():
        try:
            now = read_text(name)
        except (OSError, ValueError):
            raise InputError(f"{where}: {name} is missing; restore its text, which is kept under {POLICY_FILES}") from None
        if not same_policy(now, text):
            raise InputError(f"{where}: {name} was edited since; restore its text, which is kept under {POLICY_FILES}")


def same_policy(one: str, other: str) -> bool:
    """Whether two policy files' texts hold the same policy; comments, layout, source and provenance are ignored."""
    return one == other or _policy(one) == _policy(other)


@functools.lru_cache(maxsize=32)
def _policy(text: str) -> str:
    """The policy in a policy file's text, in canonical form; the text itself if it cannot be read."""
    try:
        content = parse_policy(text, "policy", lambda chain: None)
    except InputError:
        return text
    return repr(replace(content, source="", provenance={}))


def _named(text: object) -> list[str]:
    if not isinstance(text, str) or ".y" not in text.lower():
        return []
    try:
        return [name for chain in parse_list(text, "augment") for name in _in(chain)]
    except InputError:
        return []


def _in(value: object) -> Iterator[str]:
    """Names of policy files in a chain, at any depth."""
    if isinstance(value, Chain):
        for spec in value.stages:
            yield from _in(spec)
    elif isinstance(value, Spec):
        if is_policy_file(value.name):
            yield str(Path(value.name))
        for inner in (*value.first, *value.options.values()):
            yield from _in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _in(inner)
    elif isinstance(value, str) and is_policy_file(value):
        yield value
