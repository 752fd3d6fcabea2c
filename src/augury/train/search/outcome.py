"""A child to train, and its outcome."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

Decisions = Any
Report = Callable[[int, float], bool]


@dataclass(frozen=True)
class Job:
    """One child to train. arm: that it belongs to. report(epoch, accuracy): returns True to end it early."""

    arm: str
    number: int
    decisions: Decisions
    seed: int
    report: Report | None = None


@dataclass(frozen=True)
class Outcome:
    """The result of a child: its accuracy on the validation part after its last epoch, in percent, or the error."""

    arm: str
    number: int
    decisions: Decisions
    seed: int
    accuracy: float | None
    seconds: float
    epochs: int = 0
    pruned: bool = False
    error: str | None = None
    figures: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, Any] = field(default_factory=dict)

    def dict(self) -> dict[str, Any]:
        """Plain values for the journal, without files."""
        return {key: value for key, value in asdict(self).items() if key != "files"}
