"""Reads a -c file; duplicate keys are refused with their line."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from augury.core import plugins, yaml_text
from augury.core.errors import InputError
from augury.core.files import NotRegularError


def read_config(path: Path, texts: Collection[str] = ()) -> dict[str, Any]:
    """The settings in a YAML file, whose keys may have dashes. InputError if it cannot be read, or if a plug-in that it records
    is missing or has changed. Nothing in the file is executed.

    texts: settings that are kept as written: `data: 2024_01_15` is a folder, which YAML reads as a number.
    """
    try:
        text = yaml_text.read_text(path, f"-c {path}")
    except FileNotFoundError:
        raise InputError(f"-c {path}: no such file") from None
    except NotRegularError as error:
        raise InputError(f"-c {path}: is {error.strerror}; name a YAML file") from None
    except (UnicodeDecodeError, OSError) as error:
        raise InputError(f"-c {path}: not readable as YAML ({str(error).splitlines()[0]})") from None
    root = yaml_text.compose(text, f"-c {path}")
    _refuse_twice(root, str(path))
    written = _scalars(root)
    values = yaml_text.value_of(root, f"-c {path}")
    if not isinstance(values, dict):
        raise InputError(f"-c {path}: expected `setting: value` lines")
    plugins.check(values.pop("plugins", {}), f"-c {path}")
    found = {str(key).replace("-", "_"): value for key, value in values.items()}
    return found | {key: text for key, text in written.items() if key in texts}


def _scalars(root: yaml.Node | None) -> dict[str, str]:
    """The text of every scalar at the top level of the file that is neither empty nor null."""
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    plain = [(key, value) for key, value in pairs if isinstance(key, yaml.ScalarNode) and isinstance(value, yaml.ScalarNode)]
    return {key.value.replace("-", "_"): value.value for key, value in plain if value.tag != "tag:yaml.org,2002:null"}


def _refuse_twice(root: yaml.Node | None, where: str) -> None:
    """InputError if a key occurs twice in one mapping; YAML would silently keep the last."""
    waiting, visited = [root], set()
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in visited:  # an anchor may lead back
            continue
        visited.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            seen: dict[str, int] = {}
            for key, value in node.value:
                waiting += [key, value]
                if not isinstance(key, yaml.ScalarNode):
                    continue
                # At the top level, a dash and an underscore are equivalent.
                name, line = key.value.replace("-", "_") if node is root else key.value, key.start_mark.line + 1
                if name in seen:
                    raise InputError(f"-c {where} line {line}: {key.value} is already in line {seen[name]}; keep one of them")
                seen[name] = line
