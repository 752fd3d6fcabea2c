"""Words for notes and errors: counts, short lists, nearest names."""

import difflib
import unicodedata
from collections.abc import Iterable, Sequence


def count(number: int, one: str, many: str | None = None) -> str:
    """`1 image`, `1,200 images`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def few(names: Sequence[str], shown: int = 3) -> str:
    """The first names and how many more there are."""
    return ", ".join(map(repr, names[:shown])) + (f" and {len(names) - shown} more" if len(names) > shown else "")


def one_form(name: str) -> str:
    """A name in Unicode's composed form, since file systems and editors write the same letters in several forms."""
    return unicodedata.normalize("NFC", name)


def forms_of(names: Iterable[str]) -> list[str]:
    """The names that occur in several Unicode forms."""
    forms: dict[str, set[str]] = {}
    for name in names:
        forms.setdefault(one_form(name), set()).add(name)
    return sorted(name for name, written in forms.items() if len(written) > 1)


def forms_note(names: Iterable[str]) -> list[str]:
    """A note if names that differ only in their Unicode form were treated as one."""
    several = forms_of(names)
    return [f"class names in several Unicode forms are the same class: {few(several)}"] if several else []


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or an empty text if no known name is close."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
