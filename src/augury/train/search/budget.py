"""The budget of a search: a number of children, or minutes."""

import re
from dataclasses import dataclass

from augury.core.errors import InputError

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Budget:
    """The budget of one arm: `children` trainings, or as many as start within `seconds` of training time per worker; one of the
    two is None. least: this many start even if the time is over."""

    children: int | None
    seconds: float | None = None
    least: int = 0

    @staticmethod
    def of(text: str) -> "Budget":
        """Parses `40` (children) or `20m` (minutes; also `90s`, `1.5h`). Raises InputError for anything else, and for 0."""
        match = re.fullmatch(r"(\d+|\d*\.\d+)([smh]?)", str(text).strip())
        if match is None or (match.group(2) == "" and "." in match.group(1)):
            raise InputError(f"--budget: {text!r} is neither a number of child trainings, 40, nor a time, 20m")
        amount = float(match.group(1))
        if amount <= 0:
            raise InputError("--budget: 0 leaves nothing to search with; give 1 child or more, for example 40 or 20m")
        if match.group(2):
            return Budget(None, amount * _UNITS[match.group(2)])
        if amount > 1e6:
            raise InputError(f"--budget: {text} children are more than a million; give fewer")
        return Budget(int(amount))

    def allows(self, started: int, seconds: float) -> bool:
        """Whether another child may start. started: children so far, finished or not; seconds: their total time so far, divided
        by the number of workers."""
        if self.children is not None:
            return started < self.children
        return started < self.least or seconds < (self.seconds or 0)

    def more_than(self, other: "Budget") -> bool:
        """Whether it is of the same kind and not smaller."""
        if self.children is not None and other.children is not None:
            return self.children >= other.children
        return self.seconds is not None and other.seconds is not None and self.seconds >= other.seconds

    def __str__(self) -> str:
        return f"{self.children} children" if self.children is not None else f"{(self.seconds or 0) / 60:g} minutes"
