"""`augury compare`: augmentations and strategies against a reference, on the user's own images, at equal budget."""

import itertools
import re
import statistics
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from augury.core.errors import InputError
from augury.core.options import Chain, parse_chain, parse_list
from augury.explain.pages.page import comparison_page
from augury.explain.report.sheet import Sheet
from augury.explain.report.summary import row_labels
from augury.explain.statistics import compare_rows
from augury.jobs.classes import classes_of, value_of
from augury.jobs.environment import environment
from augury.jobs.estimate import Before, Work, announce, remaining
from augury.jobs.progress import Bar, bar
from augury.jobs.reporting import settings_shown, training_sheet
from augury.jobs.saliency import saliency_for
from augury.jobs.shown import shown_of
from augury.train.data.dataset import Dataset
from augury.train.engine.checkpoint import write_atomically, write_json
from augury.train.engine.interleaved import run_together
from augury.train.engine.metrics import Metric, metric_of
from augury.train.engine.prepare import prepare
from augury.train.engine.run import OnEpoch, Trainer
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.settings import Settings
from augury.train.engine.setup import on_device, pick_device
from augury.train.engine.source import load_for
from augury.train.engine.world import alone
from augury.train.pools.opened import ALONE, Workers, pool_of
from augury.train.pools.pool import Pool, Shared
from augury.train.pools.training import Ended, TrainingJob, TrainingRunner, outcome_of, portable, train_all


@dataclass(frozen=True)
class ComparisonRow:
    """One combination of an augmentation and a strategy."""

    augment: str
    strategy: str


def comparison_rows(augments: list[Chain], strategies: list[Chain]) -> list[ComparisonRow]:
    """Every combination, augmentation by augmentation; InputError if one is named twice."""
    rows = [ComparisonRow(str(a), str(s)) for a in augments for s in strategies]
    for row in rows:
        if rows.count(row) > 1:
            raise InputError(f"--augment: {row.augment!r} with {row.strategy!r} is named twice; name every row once")
    return rows


def compare(
    settings: Settings,
    seeds: int,
    output: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
    parallel_seeds: bool = False,
    workers: Workers = ALONE,
    before: Before | None = None,
    on_epoch: OnEpoch | None = None,
    may_change: Collection[str] = (),
    own: Mapping[str, dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Train every row with seeds 0 .. seeds-1 (or from settings.seed on) and compare; `settings.augment` and `.strategy` are lists.

    All rows of a seed share the split, the initial weights, the order of the batches and the number of optimiser steps.
    parallel_seeds: the seeds of a row train at the same time in this process, each exactly as it would alone.
    workers: who trains; results are the same for all, bit for bit where trainings have equally many threads.
    on_epoch: is given every epoch's line of metrics.jsonl, with the training's name as `training`; not of Ray's.
    before: is told how long it will take, where that is long, and may refuse.
    own: settings of single rows that override the common ones, keyed by augmentation. may_change: settings that may change
    when a comparison is resumed.
    Writes config.yaml, result.json, metrics.jsonl, report.html and runs/ROW-seedK/ with each training's own files.
    """
    alone("compare")
    workers = workers.unless(parallel_seeds)
    rows = comparison_rows(parse_list(settings.augment, "--augment"), parse_list(settings.strategy, "--strategy"))
    dataset = load_for(settings)
    metric = metric_of(settings.metric, dataset.kind)
    settings = settings.resolved(len(dataset.train.ids), metric.name)
    singular = own or {}
    each = {row: replace(settings, augment=row.augment, strategy=row.strategy, **singular.get(row.augment, {})) for row in rows}
    # What `--precision auto` comes to is timed; it is found out once, so that all who train compute alike.
    halves = {row: prepare(each[row], dataset).bfloat16 for row in rows}
    numbers = range(settings.seed, settings.seed + seeds)
    workers = announce(_works(each, numbers, dataset, output, resume), before, workers)
    # A pool that cannot be opened is refused before anything is written.
    with pool_of(TrainingRunner(settings), workers) as pool:
        directory = RunDirectory.open(
            output, {**settings.dict(), "seeds": seeds}, overwrite=overwrite, resume=resume, may_change=may_change
        )  # fmt: skip
        with bar(len(rows) * seeds * settings.total_epochs, quiet) as progress:
            if parallel_seeds:
                found = _together(each, numbers, dataset, output, progress)
            else:
                data = pool.share(portable(dataset))
                dataset = replace(data.value, counterparts=dataset.counterparts)
                found = _one_by_one(each, numbers, data, output, pool, progress, on_epoch, halves)
    result = {
        "version": 1,
        "metric": metric.described(),
        "rows": _table(found, len(dataset.train.ids) * settings.total_epochs, metric),
        **classes_of(row_labels([asdict(row) for row in rows]), list(found.values()), metric),
        "notes": [*dataset.notes, *_computed(halves, settings), *notes_of(found, list(numbers))],
    }
    result["environment"] = environment(pick_device(settings.device))
    write_atomically(output / "report.html", _page(result, settings, dataset, rows, found, list(numbers), output).encode())
    _write_metrics(directory, found, list(numbers))
    write_json(output / "result.json", result)
    return result


def _computed(halves: Mapping[ComparisonRow, bool], settings: Settings) -> list[str]:
    """A note where `--precision auto` came to bfloat16 for some rows on a CPU."""
    rows = [f"{row.augment} {row.strategy}" for row, half in halves.items() if half]
    if not rows or settings.precision != "auto" or pick_device(settings.device).type != "cpu":
        return []
    which = "all rows" if len(rows) == len(halves) else ", ".join(rows)
    return [f"computed in bfloat16, which a probe found faster here: {which}; --precision float32 avoids it"]


def _works(each: dict[ComparisonRow, Settings], seeds: range, dataset: Dataset, output: Path, resume: bool) -> list[Work]:
    """What there is to train."""

    def epochs(index: int, row: ComparisonRow, seed: int) -> int:
        return remaining(run_folder(output, index, row, seed), each[row], resume=resume)

    return [Work(each[row], dataset, len(seeds), sum(epochs(index, row, seed) for seed in seeds)) for index, row in enumerate(each)]


def _together(
    each: dict[ComparisonRow, Settings], seeds: range, dataset: Dataset, output: Path, progress: Bar
) -> dict[ComparisonRow, list[dict[str, Any]]]:  # fmt: skip
    """Every row's trainings, its seeds at the same time in this process."""
    found = {}
    for index, (row, settings) in enumerate(each.items()):
        progress.label(f"{row.augment} {row.strategy}, seeds {seeds[0]} to {seeds[-1]}")
        folders = [run_folder(output, index, row, seed) for seed in seeds]
        found[row] = run_seeds([replace(settings, seed=seed) for seed in seeds], dataset, folders, progress)
    return found


def _one_by_one(
    each: dict[ComparisonRow, Settings], seeds: range, data: Shared[Dataset], output: Path, pool: Pool[TrainingJob, Ended],
    progress: Bar, on_epoch: OnEpoch | None, halves: Mapping[ComparisonRow, bool],
) -> dict[ComparisonRow, list[dict[str, Any]]]:  # fmt: skip
    """Every row's trainings, as the pool comes to them; a seed of all rows before the next."""
    jobs = [
        TrainingJob(f"{row.augment} {row.strategy}, seed {seed}", replace(settings, seed=seed),
                    run_folder(output, index, row, seed), data, precision="bfloat16" if halves[row] else "float32")
        for seed, (index, (row, settings)) in itertools.product(seeds, enumerate(each.items()))
    ]  # fmt: skip

    def told(job: TrainingJob, row: dict[str, Any]) -> None:
        progress.told(job, row)
        if on_epoch is not None:
            on_epoch({"training": job.name, **row})

    train_all(pool, jobs, told, progress.ended)
    return {row: [outcome_of(run_folder(output, index, row, seed)) for seed in seeds] for index, row in enumerate(each)}


def run_folder(output: Path, index: int, row: ComparisonRow, seed: int) -> Path:
    """The folder of one training of a comparison."""

    def named(augment: str) -> Path:
        name = re.sub(r"[^A-Za-z0-9.=-]+", "_", f"{augment}-{row.strategy}").strip("_")[:60]
        return output / "runs" / f"{index}-{name}-seed{seed}"

    # Only a policy file's own name, so that a folder can be moved; folders of older versions contain the whole path.
    before = named(row.augment)
    return before if before.exists() else named(re.sub(r"[^\s\"'+(),]*/([^/\s\"'+(),]+)\.ya?ml", r"\1", row.augment))


def run_seeds(each: list[Settings], dataset: Dataset, folders: list[Path], progress: Bar) -> list[dict[str, Any]]:
    """The runs of several seeds, trained at the same time; finished ones are left unchanged."""
    directories = [RunDirectory.open(where, settings.dict(), resume=True) for settings, where in zip(each, folders, strict=True)]
    open_ones = [number for number, directory in enumerate(directories) if directory.result() is None]
    progress.skip((len(each) - len(open_ones)) * each[0].total_epochs)
    if open_ones:
        device = pick_device(each[0].device)
        # One copy on the device, shared by all.
        train, validation, test = (on_device(part, device) for part in (dataset.train, dataset.validation, dataset.test))
        shared = replace(dataset, train=train, validation=validation, test=test)
        trainers = [Trainer(prepare(each[number], shared)) for number in open_ones]
        heard = [partial(progress.trained, folders[number]) for number in open_ones]
        results = run_together(trainers, [directories[number] for number in open_ones], heard)
        for number, result in zip(open_ones, results, strict=True):
            directories[number].finish(result)
            progress.skip_to(folders[number], each[number].total_epochs)
    return [{**(directory.result() or {}), "metrics": directory.metrics()} for directory in directories]


def _table(found: dict[ComparisonRow, list[dict[str, Any]]], images: int, metric: Metric) -> list[dict[str, Any]]:
    """The rows of result.json; `images`: source images that one training saw."""
    each = [[value_of(run, metric) for run in runs] for runs in found.values()]
    return [
        {
            "augment": row.augment, "strategy": row.strategy, "accuracies": [run["accuracy"] for run in runs],
            "values": values, **asdict(s),
            "images_per_second": round(statistics.median(images / max(r["seconds"]["training"], 1e-3) for r in runs), 1),
            "counts": runs[0]["counts"],
            "seconds_training": _mean(runs, "training"),
            "seconds_device": _mean(runs, "device"),
            "networks": _networks(runs),
            **_before_refinement(runs),
            **_chosen(runs),
        }
        for (row, runs), values, s in zip(found.items(), each, compare_rows(each, rising=metric.rising), strict=True)
    ]  # fmt: skip


def _before_refinement(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The row's accuracies at the end of stage one, where its trainings were refined."""
    if not all("stage_one" in run for run in runs):
        return {}
    values = [run["stage_one"]["accuracy"] for run in runs]
    gains = [run["accuracy"] - value for run, value in zip(runs, values, strict=True)]
    return {"before_refinement": {"accuracies": values, "mean": statistics.mean(values), "gain": statistics.mean(gains)}}


def _chosen(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The selected epoch of every seed, where the validation part selects it, and how many networks collapsed."""
    made: dict[str, Any] = {}
    if all("selected" in run for run in runs):
        made["selected_epochs"] = [run["selected"]["epoch"] for run in runs]
    fallen = sum(len(run.get("collapsed", ())) for run in runs)
    return made | ({"collapsed": fallen} if fallen else {})


def notes_of(found: dict[ComparisonRow, list[dict[str, Any]]], seeds: list[int]) -> list[str]:
    """The notes of single trainings, each with its rows and seeds; equal notes are merged."""
    said: dict[str, dict[ComparisonRow, list[int]]] = {}
    for row, runs in found.items():
        for seed, run in zip(seeds, runs, strict=True):
            for note in run.get("notes", ()):
                said.setdefault(note, {}).setdefault(row, []).append(seed)
    several = len({row.strategy for row in found}) > 1

    def where(row: ComparisonRow, numbers: list[int]) -> str:
        name = f"{row.augment}, {row.strategy}" if several else row.augment
        return f"{name}, seed{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"

    return [f"{'; '.join(where(row, numbers) for row, numbers in rows.items())}: {note}" for note, rows in said.items()]


def _mean(runs: list[dict[str, Any]], seconds: str) -> float:
    return round(statistics.mean(run["seconds"][seconds] for run in runs), 3)


def _networks(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every network of a row with its accuracies over the seeds; the row's own are the first network's."""
    together = zip(*(run["networks"] for run in runs), strict=True)
    each = [(seeds[0]["model"], [network["accuracy"] for network in seeds]) for seeds in together]
    return [{"model": model, "accuracies": values, "mean": statistics.mean(values)} for model, values in each]


def _page(
    result: dict[str, Any],
    settings: Settings,
    dataset: Dataset,
    rows: list[ComparisonRow],
    found: dict[ComparisonRow, list[dict[str, Any]]],
    seeds: list[int],
    output: Path,
) -> str:
    shown = settings_shown(settings, result["environment"]) | {
        "seeds": ", ".join(map(str, seeds)),
        "images": f"{len(dataset.train.ids)} training, {len(dataset.validation.ids)} validation, {len(dataset.test.ids)} test",
    }
    return comparison_page(
        result,
        settings=shown,
        curves={
            label: [run["metrics"] for run in runs] for label, runs in zip(row_labels(result["rows"]), found.values(), strict=True)
        },
        sheets=_sheets(settings, dataset, rows, seeds[0], output),
        notes=result["notes"],
    )


def _sheets(settings: Settings, dataset: Dataset, rows: list[ComparisonRow], seed: int, output: Path) -> list[Sheet]:
    """One sheet for everything that the rows' networks saw: rows whose strategies show nothing else share their augmentation's."""
    found: dict[str, Sheet] = {}
    for index, row in enumerate(rows):
        own, folder = replace(settings, augment=row.augment, strategy=row.strategy, seed=seed), run_folder(output, index, row, seed)
        plain = shown_of(own, dataset).plain
        title = row.augment if plain else f"{row.augment} · {row.strategy}"
        if title not in found:
            saliency = saliency_for(parse_chain(row.augment, "--augment"), dataset, folder)
            found[title] = training_sheet(own, dataset, run=folder, saliency=saliency, title=title)
    return list(found.values())


def _write_metrics(directory: RunDirectory, found: dict[ComparisonRow, list[dict[str, Any]]], seeds: list[int]) -> None:
    directory.write_metrics([
        {"augment": row.augment, "strategy": row.strategy, "seed": seed, **line}
        for row, runs in found.items()
        for seed, run in zip(seeds, runs, strict=True)
        for line in run["metrics"]
    ])  # fmt: skip
