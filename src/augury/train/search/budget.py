"""What a search may spend: a number of children, or minutes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from augury.core.errors import InputError
from augury.train.search.outcome import Outcome

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Budget:
    """Of one arm: `children` trainings, or as many as start within `seconds` of training time; one of the two is None."""

    children: int | None
    seconds: float | None = None

    @staticmethod
    def of(text: str) -> "Budget":
        """`40` children, or `20m` minutes (also `90s`, `1.5h`). Raises InputError for anything else, and for nothing."""
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

    def left(self, outcomes: Sequence[Outcome], workers: int) -> int | None:
        """How many children may still start; None: as many as wanted."""
        if self.children is not None:
            return self.children - len(outcomes)
        spent = sum(outcome.seconds for outcome in outcomes) / workers
        return None if spent < (self.seconds or 0) else 0

    def __str__(self) -> str:
        return f"{self.children} children" if self.children is not None else f"{(self.seconds or 0) / 60:g} minutes"
