"""Recipes, read from TOML and checked: what is misspelled is refused by name before anything runs.

    title = "Top-1 accuracy on CIFAR"          # what the table shows
    source = "Author year (arXiv:...), Table 3"
    seeds = 5                                  # trainings that a published number is the mean of
    [settings]                                 # of every row; names as in a run's config.yaml
    [parts.preact]                             # settings that rows take up by name
    [short]  [smoke]                           # settings that replace a row's at those scales
    [patch]                                    # settings of `augury patch`, for recipes that run it
    rows = [{ id = "...", use = ["preact"], augment = "...", published = 80.27, spread = 0.31 }, ...]

A row's keys are those of `RecipeRow` and of a training's settings. TOML wants `rows` before the first table.
"""

import fnmatch
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from augury.core.errors import InputError
from augury.core.registry import entries, unknown
from augury.train.engine.settings import Settings

LEARNED = "{learned}"
FOLDER = Path(__file__).resolve().parent
Job = Literal["train", "patch"]


@dataclass(frozen=True)
class RecipeRow:
    """One published number and the training that should give it.

    settings: the training's at full scale. published: None if the paper draws a curve and prints no number. spread: as
    published, a standard deviation. figure: where the number stands in a training's result.json, keys separated by `/`, or in
    what `measure`, a measurement of `augury diagnose`, finds; `error` is 100 - accuracy. over: a second place, by which the
    first is divided, in percent. times: a factor on it. cited: the paper took the number from another one. reference: the
    row it is compared with. tolerance: in the place of the recipe's. unavailable: why Augury cannot run it.
    learned: the row whose training learns the policies that stand for `{learned}` in this row's augmentation.
    """

    id: str
    settings: dict[str, Any]
    published: float | None = None
    spread: float | None = None
    figure: str = "accuracy"
    over: str | None = None
    measure: str | None = None
    cited: bool = False
    reference: str | None = None
    unavailable: str | None = None
    times: float = 1.0
    tolerance: float | None = None
    note: str | None = None
    learned: str | None = None


@dataclass(frozen=True)
class Recipe:
    """A table or a figure. tolerance: how far from the published number counts as reproduced, in its unit, where the paper
    prints no larger spread; None if numbers depend on the hardware and only ratios to the reference mean anything."""

    name: str
    title: str
    source: str
    rows: tuple[RecipeRow, ...]
    seeds: int = 3
    unit: str = "%"
    tolerance: float | None = 0.5
    job: Job = "train"
    notes: tuple[str, ...] = ()
    short: dict[str, Any] = field(default_factory=dict)
    smoke: dict[str, Any] = field(default_factory=dict)
    patch: dict[str, Any] = field(default_factory=dict)

    def select(self, text: str | None) -> tuple[RecipeRow, ...]:
        """The rows whose ids match one of the patterns separated by commas (`*` matches anything); InputError if none does.

        With them the rows that learn the policies which they replay.
        """
        if text is None:
            return self.rows
        patterns = [part.strip() for part in text.split(",") if part.strip()]
        for pattern in patterns:
            if not any(fnmatch.fnmatchcase(row.id, pattern) for row in self.rows):
                raise InputError(f"--rows {pattern}: {unknown('row', pattern, [row.id for row in self.rows])}")
        chosen = {row.id for row in self.rows if any(fnmatch.fnmatchcase(row.id, p) for p in patterns)}
        chosen |= {row.learned for row in self.rows if row.id in chosen and row.learned is not None}
        return tuple(row for row in self.rows if row.id in chosen)


_ROW = {f.name for f in fields(RecipeRow)} - {"settings"}
_SETTINGS = set(Settings.__dataclass_fields__)
_TOP = {f.name for f in fields(Recipe)} - {"name"} | {"settings", "parts"}


def load(name: str) -> Recipe:
    """The recipe of that name; InputError naming the file and what is wrong in it."""
    file = FOLDER / f"{name}.toml"
    if not file.is_file():
        raise InputError(f"RECIPE: {unknown('recipe', name, [e.name for e in entries('recipe')])}")
    return read(file)


def read(file: Path) -> Recipe:
    """The recipe in a TOML file; InputError naming the file, the row and the key that is not valid."""
    where = file.name
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{where}: not readable as TOML ({error})") from None
    _known(values, _TOP, where)
    for key in ("title", "source", "rows"):
        if not values.get(key):
            raise InputError(f"{where}: {key} is missing")
    common, parts = values.pop("settings", {}), values.pop("parts", {})
    for name, table in {"settings": common, **{f"parts.{n}": t for n, t in parts.items()}}.items():
        _known(table, _SETTINGS, f"{where}: [{name}]")
    rows = tuple(_row(row, common, parts, where) for row in values.pop("rows"))
    ids = [row.id for row in rows]
    for row in rows:
        if ids.count(row.id) > 1:
            raise InputError(f"{where}: row {row.id!r} stands twice")
        if row.reference is not None and row.reference not in ids:
            raise InputError(f"{where}: row {row.id!r}: {unknown('reference', row.reference, ids)}")
        if row.learned is not None and row.learned not in ids[: ids.index(row.id)]:
            raise InputError(f"{where}: row {row.id!r}: learned names no row before it; {unknown('row', row.learned, ids)}")
        if (row.learned is not None) != (LEARNED in row.settings.get("augment", "")):
            raise InputError(f"{where}: row {row.id!r}: write both or neither, learned = ID and {LEARNED} in augment")
    for table in ("short", "smoke"):
        _known(values.get(table, {}), _SETTINGS, f"{where}: [{table}]")
    notes = tuple(values.pop("notes", ()))
    if values.get("tolerance") == "ratios":
        values["tolerance"] = None
    return Recipe(name=file.stem, rows=rows, notes=notes, **values)


def _row(values: dict[str, Any], common: dict[str, Any], parts: dict[str, dict[str, Any]], where: str) -> RecipeRow:
    if not values.get("id"):
        raise InputError(f"{where}: a row has no id")
    where = f"{where}: row {values['id']!r}"
    _known(values, _ROW | _SETTINGS | {"use"}, where)
    settings = dict(common)
    for name in values.get("use", ()):
        if name not in parts:
            raise InputError(f"{where}: {unknown('part', name, list(parts))}")
        settings |= parts[name]
    settings |= {key: value for key, value in values.items() if key in _SETTINGS}
    for key in ("published", "spread"):
        if key in values and (isinstance(values[key], bool) or not isinstance(values[key], int | float)):
            raise InputError(f"{where}: {key} must be a number")
    return RecipeRow(settings=settings, **{key: value for key, value in values.items() if key in _ROW})


def _known(values: dict[str, Any], known: set[str], where: str) -> None:
    for key in values:
        if key not in known:
            raise InputError(f"{where}: {unknown('key', key, sorted(known))}")


def with_policies(settings: dict[str, Any], policies: str = "randaugment") -> dict[str, Any]:
    """A row's settings with policies in the place of `{learned}`: a file's path, or a stand-in for one that is not there yet."""
    if LEARNED not in settings.get("augment", ""):
        return settings
    return {**settings, "augment": settings["augment"].replace(LEARNED, policies)}
