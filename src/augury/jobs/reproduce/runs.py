"""The trainings behind a recipe's rows: each is run once, however many rows use it, resumed and measured."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from augury.core import registry
from augury.core.errors import InputError, RunError
from augury.core.options import Spec, bind, parse_spec
from augury.jobs.compare import run_seeds
from augury.jobs.diagnose import subjects_of
from augury.jobs.estimate import Before, Work, remaining
from augury.jobs.patch.patch import patch
from augury.jobs.patch.settings import PatchSettings
from augury.jobs.progress import Bar
from augury.jobs.reproduce.plans import Planned, waves
from augury.jobs.runs import open_run
from augury.recipes.needs import FOLDERS, absent, needs, where_of
from augury.recipes.recipe import RecipeRow, with_policies
from augury.recipes.scales import key_of
from augury.train.data.dataset import Dataset
from augury.train.engine.checkpoint import write_json
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.settings import Settings
from augury.train.engine.source import data_key, load_for
from augury.train.engine.stage_one import StageOne
from augury.train.pools.opened import ALONE, Workers, pool_of
from augury.train.pools.pool import Pool, Shared
from augury.train.pools.training import Ended, TrainingJob, TrainingRunner, failure_of, outcome_of, portable


@dataclass
class RunContext:
    """Where rows are trained: output folder, data, device, and by whom; the recipe's trainings, those of other rows too; and the
    data set read last, and as it was shared."""

    output: Path
    data_dir: str | None = None
    device: str = "auto"
    precision: str = "auto"
    parallel_seeds: bool = False
    workers: Workers = ALONE
    plans: Sequence[Planned] = ()
    read: tuple[Any, Dataset] | None = None
    refused: dict[str, str] = field(default_factory=dict)
    given: Shared[Dataset] | None = None

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

    def shared(self, pool: Pool[Any, Any], dataset: Dataset) -> Shared[Dataset]:
        """The data set read last, for the pool's jobs; it is shared once."""
        if self.given is None or self.given.value.origin is not dataset.origin:
            self.given = pool.share(portable(dataset))
        return self.given


# What becomes of a training: its results, or why it has none.
OnPlan = Callable[[Planned, list[dict[str, Any]] | InputError | RunError], None]


@dataclass
class PlannedJobs:
    """A training with every seed, on its way. images: of its data, for result.json. failed: the seeds that have no result."""

    plan: Planned
    jobs: list[TrainingJob]
    images: dict[str, int]
    ended: int = 0
    failed: list[Ended] = field(default_factory=list)

    def results(self) -> list[dict[str, Any]]:
        """Of every seed; RunError where one failed."""
        if self.failed:
            raise failure_of(self.failed)
        return [{**outcome_of(job.folder), "images": self.images} for job in self.jobs]


def jobs_of(plan: Planned, seeds: list[int], context: RunContext, pool: Pool[TrainingJob, Ended]) -> PlannedJobs:
    """A training with every seed; InputError where the data, or the policies that it replays, are not there."""
    if plan.learned is not None:
        _learned(plan.learned, seeds, context)
    each = [context.settings(plan, seed) for seed in seeds]
    dataset = context.dataset(plan.settings["data"], each[0])
    images = round(len(dataset.train.ids) / each[0].fraction) + len(dataset.validation.ids)
    shared = context.shared(pool, dataset)
    for seed, settings in zip(seeds, each, strict=True):
        _take_stage_one(plan, seed, settings.resolved(len(dataset.train.ids)), context)
    jobs = [
        TrainingJob(f"{plan.rows[0].id}, seed {seed}", settings.resolved(len(dataset.train.ids)),
                    plan.folder(context.output, seed), shared)
        for seed, settings in zip(seeds, each, strict=True)
    ]  # fmt: skip
    return PlannedJobs(plan, jobs, {"training": images, "test": len(dataset.test.ids)})


def _take_stage_one(plan: Planned, seed: int, settings: Settings, context: RunContext) -> None:
    """Let a training that has not begun take over the stage one of another of the recipe; it trains its own where that does not
    fit, as it would without the other."""
    folder = plan.folder(context.output, seed)
    for other in plan.starts(context.plans, context.output, seed):
        with suppress(InputError):
            taken = StageOne.of(other, settings)
            directory = RunDirectory.open(folder, settings.dict(), resume=True)
            try:
                return taken.begin(directory, settings)
            finally:
                directory.release()


def works_of(plans: Sequence[Planned], seeds: list[int], context: RunContext, resume: bool) -> list[Work]:
    """What there is to train, of the data that are there."""
    found, taking = [], waves(plans).taking
    for plan in plans:
        settings = context.settings(plan, seeds[0])
        try:
            dataset = context.dataset(plan.settings["data"], settings)
        except (InputError, RunError):  # said when its turn comes
            continue
        epochs = 0
        for seed in seeds:
            taken = plan in taking or (resume and bool(plan.starts(context.plans, context.output, seed)))
            epochs += remaining(plan.folder(context.output, seed), settings, resume=resume, taken_over=taken)
        found.append(Work(settings, dataset, len(seeds), epochs))
    return found


def run_planned(
    plans: Sequence[Planned], seeds: list[int], context: RunContext, progress: Bar, on_plan: OnPlan
) -> None:  # fmt: skip
    """Train them all, each with every seed; on_plan: is given a training and its results, or why it has none, once all its seeds
    are through. Trainings follow those whose policies or whose stage one they need; among the others nobody waits for anybody.
    """
    if not plans:
        return
    first, taking, replaying = waves(plans)
    for plan, seed in product(plans, seeds):
        if plan in taking or plan.starts(context.plans, context.output, seed):
            progress.skip_to(plan.folder(context.output, seed), plan.settings["epochs"])
    with pool_of(TrainingRunner(context.settings(plans[0])), context.workers) as pool:
        for wave in (first, [*taking, *replaying]):
            _wave(pool, wave, seeds, context, progress, on_plan)


def _wave(
    pool: Pool[TrainingJob, Ended], plans: Sequence[Planned], seeds: list[int], context: RunContext, progress: Bar, on_plan: OnPlan
) -> None:  # fmt: skip
    begun: dict[Path, PlannedJobs] = {}

    def finish(found: PlannedJobs) -> None:
        try:
            results = found.results()
        except (InputError, RunError) as error:
            on_plan(found.plan, error)
        else:
            on_plan(found.plan, results)

    def jobs() -> Iterator[TrainingJob]:
        for plan in plans:
            try:
                found = jobs_of(plan, seeds, context, pool)
            except (InputError, RunError) as error:
                on_plan(plan, error)
                continue
            if context.parallel_seeds and len(seeds) > 1:
                run_seeds([j.settings for j in found.jobs], found.jobs[0].data.value, [j.folder for j in found.jobs], progress)
                finish(found)
                continue
            begun.update({job.folder: found for job in found.jobs})
            yield from found.jobs

    for ended in pool.run(jobs(), progress.told):
        progress.ended(ended)
        found = begun[ended.folder]
        found.ended += 1
        found.failed += [ended] if ended.error is not None else []
        if found.ended == len(found.jobs):
            finish(found)


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
    rows: Sequence[tuple[RecipeRow, dict[str, Any]]],
    options: dict[str, Any],
    seeds: list[int],
    context: RunContext,
    quiet: bool,
    before: Before | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """One `augury patch` for all rows; per strategy, the entries of result.json for every seed."""
    strategies = list(dict.fromkeys(settings["strategy"] for _, settings in rows))
    plan = Planned("", {**rows[0][1], "strategy": ",".join(strategies)}, [rows[0][0]])
    settings = context.settings(plan, seeds[0])
    context.dataset(plan.settings["data"], settings)
    told = PatchSettings.of({**options, "seeds": len(seeds)}, "[patch]")
    where = context.output / "runs" / f"patch-{key_of({**plan.settings, **options, 'seeds': seeds})}"
    result = patch(settings, told, where, resume=True, quiet=quiet, workers=context.workers, before=before)
    return {strategy: row["seeds"] for strategy, row in zip(strategies, result["rows"], strict=True)}


@dataclass(frozen=True)
class Cost:
    """What a figure took to train: passes and images, and seconds, those on the device apart."""

    counts: dict[str, int]
    training: float
    device: float


def cost_of(row: RecipeRow, settings: dict[str, Any], result: dict[str, Any]) -> Cost:
    """What a row's figure took in one training: a figure of before the refinement, only what was trained until then."""
    if not row.figure.startswith(("stage_one/", "metrics/stage_one/")):
        return Cost(result["counts"], result["seconds"]["training"], result["seconds"]["device"])
    line = _line(result, settings["epochs"])
    return Cost(line["counts"], line["seconds"], line["device_seconds"])


def _line(result: dict[str, Any], epoch: int) -> dict[str, Any]:
    """An epoch's line of metrics."""
    return next(line for line in result["metrics"] if line["epoch"] == epoch)


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
        found = _line(result, settings["epochs"]) if keys[0] == "stage_one" else result["metrics"][-1]
    else:
        keys = [first, *keys]
    for key in keys[1:] if first == "metrics" else keys:
        try:
            found = found[int(key)] if isinstance(found, list) else found[key]
        except (KeyError, IndexError, ValueError):
            return None
    return None if found is None else float(found)
