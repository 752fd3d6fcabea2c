"""Recipes, read from TOML and validated: misspelled names are reported before anything runs.

    title = "Top-1 accuracy on CIFAR"          # what the table shows
    source = "Author year (arXiv:...), Table 3"
    seeds = 5                                  # number of runs that a published number is the mean of
    [settings]                                 # of every row; names as in a run's config.yaml
    [parts.preact]                             # settings that rows include by name
    [short]  [smoke]                           # settings that replace a row's at those scales
    [patch]                                    # settings of `augury patch`, for recipes that run it
    rows = [{ id = "...", use = ["preact"], augment = "...", published = 80.27, spread = 0.31 }, ...]

A row's keys are those of `RecipeRow` and of a run's settings. In TOML, `rows` must precede the first table.
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
    """One published number and the training run that should reproduce it.

    settings: of the run at full scale. published: None if the paper draws a curve without numbers. spread: the published
    standard deviation. figure: path of the number in the run's result.json, keys separated by `/`, or in the result of
    `measure`, a measurement of `augury diagnose`; `error` is 100 - accuracy. over: path of a number to divide by, giving
    percent. times: a factor on the number. cited: whether the paper took the number from another one. reference: the row
    that this one is compared with. tolerance: overrides the recipe's. unavailable: why Augury cannot run it. learned: the
    row whose run learns the policies that replace `{learned}` in this row's augmentation.
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
    """A table or a figure. tolerance: the largest difference from the published number that counts as reproduced, in its unit,
    unless the paper gives a larger spread; None if numbers depend on the hardware and only ratios to the reference compare."""

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
        """The rows whose ids match one of the patterns, separated by commas (`*` matches anything), and the rows that learn the
        policies they replay. InputError if a pattern matches none.
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
    """The recipe of that name; InputError with the file and the error if it is not valid."""
    file = FOLDER / f"{name}.toml"
    if not file.is_file():
        raise InputError(f"RECIPE: {unknown('recipe', name, [e.name for e in entries('recipe')])}")
    return read(file)


def read(file: Path) -> Recipe:
    """The recipe in a TOML file; InputError with the file, row and key if one is not valid."""
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
            raise InputError(f"{where}: row {row.id!r} occurs twice")
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
    """A row's settings with `{learned}` replaced by policies: a file's path, or a substitute while there is no file."""
    if LEARNED not in settings.get("augment", ""):
        return settings
    return {**settings, "augment": settings["augment"].replace(LEARNED, policies)}
