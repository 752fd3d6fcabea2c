"""Which settings of a dataclass are text whatever they look like."""

from dataclasses import fields
from typing import Any, get_args, get_type_hints


def text_fields(kind: Any) -> frozenset[str]:
    """The settings of a dataclass that are text whatever they look like: a folder 1.10 is not the number 1.1."""
    hints = get_type_hints(kind, include_extras=True)
    return frozenset(f.name for f in fields(kind) if _is_text(hints[f.name]))


def _is_text(hint: object) -> bool:
    if hint is str or hint is type(None):
        return True
    parts = get_args(hint)
    return bool(parts) and all(isinstance(part, str) or _is_text(part) for part in parts)
