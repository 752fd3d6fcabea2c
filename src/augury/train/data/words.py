"""Words for notes and refusals: counts, short lists, nearest names."""

import difflib
from collections.abc import Iterable, Sequence


def count(number: int, one: str, many: str | None = None) -> str:
    """`1 image`, `1,200 images`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def few(names: Sequence[str], shown: int = 3) -> str:
    """The first names and how many more there are."""
    return ", ".join(map(repr, names[:shown])) + (f" and {len(names) - shown} more" if len(names) > shown else "")


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing where no known name is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
