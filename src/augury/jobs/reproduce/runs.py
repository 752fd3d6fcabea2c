"""The trainings behind a recipe's rows: each is run once, however many rows use it, resumed and measured."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from augury.core import registry
from augury.core.errors import InputError, RunError
from augury.core.options import Spec, bind, parse_spec
from augury.jobs.compare import run_one, run_seeds
from augury.jobs.diagnose import subjects_of
from augury.jobs.patch.patch import patch
from augury.jobs.patch.settings import PatchSettings
from augury.jobs.progress import Bar
from augury.jobs.runs import open_run
from augury.recipes.needs import FOLDERS, absent, needs, where_of
from augury.recipes.recipe import RecipeRow, with_policies
from augury.recipes.scales import key_of
from augury.train.data.dataset import Dataset
from augury.train.engine.checkpoint import write_json
from augury.train.engine.settings import Settings
from augury.train.engine.source import data_key, load_for


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


@dataclass
class RunContext:
    """Where rows are trained: output folder, data, device; and the data set read last."""

    output: Path
    data_dir: str | None = None
    device: str = "auto"
    precision: str = "auto"
    parallel_seeds: bool = False
    read: tuple[Any, Dataset] | None = None
    refused: dict[str, str] = field(default_factory=dict)

    def settings(self, planned: Planned, seed: int = 0) -> Settings:
        """A training's settings in this context; InputError for an invalid value."""
        own = {key: value for key, value in planned.settings.items() if key != "seed"}
        if planned.learned is not None:
            policies = planned.learned.folder(self.output, seed).absolute() / "policies.yaml"
            own = with_policies(own, str(Spec(str(policies)))) if policies.exists() else with_policies(own)
        data = own["data"] if self.data_dir is None and own["data"] in FOLDERS else where_of(own["data"], self.data_dir)
        return Settings.of(
            {**own, "data": data, "data_dir": self.data_dir, "device": self.device, "precision": self.precision, "seed": seed},
            f"row {planned.rows[0].id!r}",
        )

    def dataset(self, name: str, settings: Settings) -> Dataset:
        """The data; if they are not available, InputError with what the row needs."""
        if name in self.refused:
            raise InputError(self.refused[name])
        key = data_key(settings)
        if self.read is not None and self.read[0] == key:
            return self.read[1]
        self.read = None
        reason = absent(name, self.data_dir)
        try:
            if reason is not None:
                raise InputError(reason)
            self.read = key, load_for(settings)
        except (InputError, RunError) as error:
            self.refused[name] = reason or f"{needs(name)}; {error}"
            raise InputError(self.refused[name]) from None
        return self.read[1]


def train_all(plan: Planned, seeds: list[int], context: RunContext, progress: Bar) -> list[dict[str, Any]]:
    """The results of a training with every seed; InputError where the data are not there, RunError where it fails."""
    if plan.learned is not None:
        _learned(plan.learned, seeds, context)
    each = [context.settings(plan, seed) for seed in seeds]
    dataset = context.dataset(plan.settings["data"], each[0])
    images = round(len(dataset.train.ids) / each[0].fraction) + len(dataset.validation.ids)
    folders = [plan.folder(context.output, seed) for seed in seeds]
    each = [settings.resolved(len(dataset.train.ids)) for settings in each]
    if context.parallel_seeds and len(seeds) > 1:
        results = run_seeds(each, dataset, folders, progress)
    else:
        results = [run_one(settings, dataset, where, progress) for settings, where in zip(each, folders, strict=True)]
    return [{**result, "images": {"training": images, "test": len(dataset.test.ids)}} for result in results]


def _learned(teacher: Planned, seeds: list[int], context: RunContext) -> None:
    """InputError where the training whose policies are replayed has left none."""
    if not all((teacher.folder(context.output, seed) / "policies.yaml").exists() for seed in seeds):
        raise InputError(f"needs the policies that row {teacher.rows[0].id!r} learns, which has not been trained")


def measured(plan: Planned, row: RecipeRow, seeds: list[int], context: RunContext) -> list[dict[str, Any]]:
    """The row's measurement of the network of every seed, cached in the network's folder."""
    spec = parse_spec(row.measure or "", f"row {row.id!r}: measure")
    function = registry.get("measurement", spec.name)
    options = bind(function, spec, f"row {row.id!r}: measure")
    found = []
    for seed in seeds:
        folder = plan.folder(context.output, seed)
        file = folder / f"measure-{key_of({'measure': row.measure})}.json"
        if not file.exists():
            run = open_run(folder, context.device, {} if context.read is None else {context.read[0]: context.read[1]})
            write_json(file, function(subjects_of([run]), run.dataset, **options).values)
        found.append(json.loads(file.read_text(encoding="utf-8")))
    return found


def patch_all(
    rows: Sequence[tuple[RecipeRow, dict[str, Any]]], options: dict[str, Any], seeds: list[int], context: RunContext, quiet: bool
) -> dict[str, list[dict[str, Any]]]:
    """One `augury patch` for all rows; per strategy, the entries of result.json for every seed."""
    strategies = list(dict.fromkeys(settings["strategy"] for _, settings in rows))
    plan = Planned("", {**rows[0][1], "strategy": ",".join(strategies)}, [rows[0][0]])
    settings = context.settings(plan, seeds[0])
    context.dataset(plan.settings["data"], settings)
    told = PatchSettings.of({**options, "seeds": len(seeds)}, "[patch]")
    where = context.output / "runs" / f"patch-{key_of({**plan.settings, **options, 'seeds': seeds})}"
    result = patch(settings, told, where, resume=True, quiet=quiet)
    return {strategy: row["seeds"] for strategy, row in zip(strategies, result["rows"], strict=True)}


def figure_of(row: RecipeRow, settings: dict[str, Any], result: dict[str, Any]) -> float | None:
    """A row's number in one training's result; None if that training has none, as digits have no retrieval."""
    value = _at(row.figure, settings, result)
    if value is None:
        return None
    if row.over is not None:
        whole = _at(row.over, settings, result)
        return None if not whole else 100 * value / whole
    return row.times * value


def _at(path: str, settings: dict[str, Any], result: dict[str, Any]) -> float | None:
    epochs = settings.get("epochs", 1) + settings.get("refine_epochs", 0)
    if path in ("error", "error_top5"):
        return 100 - result[path.replace("error", "accuracy")]
    if path == "seconds_per_epoch":
        return result["seconds"]["training"] / epochs
    if path == "device_hours":
        return result["seconds"]["device"] / 3600
    found: Any = result
    first, *keys = path.split("/")
    if first == "metrics":
        lines = result["metrics"]
        last = settings["epochs"] if keys[0] == "stage_one" else lines[-1]["epoch"]
        found = next(line for line in lines if line["epoch"] == last)
    else:
        keys = [first, *keys]
    for key in keys[1:] if first == "metrics" else keys:
        try:
            found = found[int(key)] if isinstance(found, list) else found[key]
        except (KeyError, IndexError, ValueError):
            return None
    return None if found is None else float(found)
