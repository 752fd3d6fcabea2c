"""Which trainings a recipe's rows need: one for all rows with the same settings, and one stage one for all its refinements."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from augury.recipes.recipe import RecipeRow
from augury.recipes.scales import key_of
from augury.train.engine.checkpoint import STAGE_ONE
from augury.train.engine.stage_one import LATER


@dataclass(frozen=True)
class Planned:
    """A training (with every seed) and the rows that read their numbers from it. learned: the one whose policies it replays."""

    key: str
    settings: dict[str, Any]
    rows: list[RecipeRow] = field(default_factory=list)
    learned: "Planned | None" = None

    @property
    def epochs(self) -> int:
        return self.settings["epochs"] + self.settings.get("refine_epochs", 0)

    @cached_property
    def stage_one(self) -> str | None:
        """A key that trainings have in common if they differ in their refinement alone; None where nothing is refined."""
        if self.learned is not None or not self.settings.get("refine_epochs"):
            return None
        return key_of({key: value for key, value in self.settings.items() if key not in LATER})

    def starts(self, plans: Sequence["Planned"], output: Path, seed: int) -> list[Path]:
        """The folders of those of `plans` that have left the stage one that this training has too."""
        own = self.stage_one
        alike = [plan.folder(output, seed) for plan in plans if own is not None and plan.stage_one == own and plan.key != self.key]
        return [folder for folder in alike if (folder / STAGE_ONE).exists()]

    def folder(self, output: Path, seed: int) -> Path:
        model = re.sub(r"[^A-Za-z0-9]+", "_", self.settings.get("model", "network")).strip("_")[:40]
        return output / "runs" / f"{model}-{self.key}-seed{seed}"


def planned(rows: Sequence[tuple[RecipeRow, dict[str, Any]]]) -> list[Planned]:
    """One training for all rows whose settings are the same: so a refined row shares its first stage with the plain one.

    A row that replays policies comes after the row that learns them, as in the recipe.
    """
    found: dict[str, Planned] = {}
    by_row: dict[str, Planned] = {}
    for row, settings in rows:
        teacher = None if row.learned is None else by_row[row.learned]
        key = key_of(settings if teacher is None else {**settings, "learned": teacher.key})
        by_row[row.id] = found.setdefault(key, Planned(key, settings, learned=teacher))
        by_row[row.id].rows.append(row)
    return list(found.values())


class Waves(NamedTuple):
    """Trainings by what they wait for. first: nothing; taking: one of `first`, whose stage one they take over; replaying: one of
    them, whose policies they replay."""

    first: list[Planned]
    taking: list[Planned]
    replaying: list[Planned]


def waves(plans: Sequence[Planned]) -> Waves:
    """Of several that have the same stage one, the first trains it."""
    found, begun = Waves([], [], []), set[str]()
    for plan in plans:
        if plan.learned is not None:
            found.replaying.append(plan)
        elif plan.stage_one in begun:
            found.taking.append(plan)
        else:
            found.first.append(plan)
            begun |= {plan.stage_one} if plan.stage_one is not None else set()
    return found
