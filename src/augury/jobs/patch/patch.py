"""`augury patch`: find the subgroup that a model fails on, learn translations between subgroups, retrain, compare."""

import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from augury.core.errors import InputError
from augury.explain.report.sheet import sheets
from augury.jobs.environment import environment
from augury.jobs.estimate import Before, announce
from augury.jobs.patch.find import Model, before_and_after, found_groups, model_of
from augury.jobs.patch.folder import FIND, TRANSLATE, TRANSLATED, open_folder
from augury.jobs.patch.report import page
from augury.jobs.patch.retrain import Trained, Trainings, table
from augury.jobs.patch.rows import TRUE_ROW, patch_rows
from augury.jobs.patch.settings import DEFAULT_ROWS, PatchSettings, Stage, stages_named
from augury.jobs.patch.translate import pipeline_of, translate_stage, translated_images
from augury.jobs.progress import bar
from augury.train.data.dataset import Dataset
from augury.train.data.groups import Groups, groups_of
from augury.train.engine.checkpoint import write_atomically, write_json
from augury.train.engine.settings import Settings
from augury.train.engine.setup import one_class_only, pick_device
from augury.train.engine.source import load_for
from augury.train.pools.opened import ALONE, Workers
from augury.train.translation.pairs import notes_of, pairs_of

SALIENCY = "saliency.png"


def patch(
    settings: Settings, options: PatchSettings, output: Path, *, stage: str | None = None, resume: bool = False,
    overwrite: bool = False, quiet: bool = False, workers: Workers = ALONE, before: Before | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Run the named stages (all: find, translate, retrain, report), each from where it stopped.

    settings.strategy is a list of rows (`augury.jobs.patch.rows`). Returns what the last stage wrote: find.json,
    translate.json or result.json. result.json has a row per strategy with strategy, accuracy, worst_group, gaps, groups, n.
    Raises InputError, before anything is written, for data without groups or with groups that cannot be patched.
    """
    stages, rows = stages_named(stage), patch_rows(settings.strategy)
    if settings.labels is not None or settings.labels_per_class is not None:
        raise InputError("--labels: translation needs the label of every image; leave the flag out, or use --fraction")
    dataset = load_for(settings)
    one_class_only(dataset, "patch")
    if settings.strategy == DEFAULT_ROWS and settings.image_size is None and dataset.counterparts is not None:
        settings = replace(settings, strategy=f"{DEFAULT_ROWS},{TRUE_ROW}")
        rows = patch_rows(settings.strategy)
    settings = settings.resolved(len(dataset.train.ids))
    groups = checked_groups(dataset)
    device = pick_device(settings.device)
    trainings = Trainings(output, rows, settings, dataset, lru_cache(1)(lambda: translated_images(output, dataset)), workers)
    trainings.check()
    seeds = list(range(settings.seed, settings.seed + options.seeds))
    translating = any(row.translated for row in rows)
    if translating or "translate" in stages:
        pairs_of(groups, options.translate)
        pipeline_of(options, dataset)
    given = None if options.from_run is None else model_of(Path(options.from_run), dataset, "before", settings.device)
    if stage is not None and (output / "config.yaml").exists() and not overwrite:
        resume = True
    _check_earlier_stages(trainings, stages, seeds, looks_only=options.from_run is not None, removing=overwrite and not resume)
    if {"find", "retrain"} & {*stages}:
        once = stages == ("find",)
        works = trainings.works(seeds[:1] if once else seeds, first=once, resume=resume)
        uncounted = "the translations" if "translate" in stages and translating else ""
        trainings = replace(trainings, workers=announce(works, before, workers, uncounted))
    directory = open_folder(output, settings, options, overwrite=overwrite, resume=resume)
    notes = [*dataset.notes, *notes_of(groups), *_test_notes(dataset, groups)]
    done: dict[str, Any] = {}
    if "find" in stages:
        done = find_stage(trainings, groups, seeds, given, quiet)
    if "translate" in stages and (translating or stage is not None):
        done = translate_stage(output, dataset, groups, options, settings.seed, device, quiet)
    if "retrain" in stages:
        done = {"version": 1, "trainings": [str(f) for one in _retrained(trainings, seeds, quiet) for f in one.folders]}
    if "report" in stages:
        found = trainings.all(seeds)
        translations = _read(output / TRANSLATE) if translating else {"pairs": []}
        notes += translations.get("warnings", [])
        done = {
            "version": 1,
            "rows": table(found, dataset, groups, settings),
            "before": _read(output / FIND),
            "translations": translations["pairs"],
            **{key: translations[key] for key in ("qualities", "judge") if key in translations},
            "notes": notes,
            "environment": environment(device),
        }
        unpatched = given or _before(trainings, found[0])
        after = model_of(found[-1].folders[0], dataset, found[-1].row.strategy.split("(")[0], settings.device)
        write_atomically(output / SALIENCY, sheets([before_and_after(unpatched, after, dataset, groups)]))
        write_atomically(output / "report.html", page(output, done, settings, dataset, groups, found, seeds).encode())
        directory.write_metrics([
            {"strategy": one.row.name, "seed": seed, **line}
            for one in found for seed, run in zip(seeds, one.runs, strict=True) for line in run["metrics"]
        ])  # fmt: skip
        directory.finish(done)
    return {**done, "notes": [*notes, *(w for w in done.get("warnings", ()) if w not in notes)]}


def checked_groups(dataset: Dataset) -> Groups:
    """The data's groups; InputError if the training part or the test part has none."""
    groups = groups_of(dataset)
    if bool((groups.of_split(dataset.test) < 0).all()):
        raise InputError(f"DATA {dataset.name}: no image of the test part has a group; name the groups there too")
    return groups


def _check_earlier_stages(
    trainings: Trainings, stages: tuple[Stage, ...], seeds: list[int], *, looks_only: bool, removing: bool
) -> None:
    """

    looks_only: find is given a model and trains none. removing: the folder's content is about to be overwritten.
    """
    first, translated = trainings.rows[0], [row for row in trainings.rows if row.translated]
    if stages in (("retrain",), ("report",)) and removing and (translated or stages == ("report",)):
        raise InputError(f"--overwrite: would remove the output of earlier stages that --stage {stages[0]} needs; leave it out")
    if "find" in stages and first.translated and not looks_only and (removing or not (trainings.output / TRANSLATED).exists()):
        raise InputError(
            f"--strategy {first.name}: the first row is trained to find what fails, before any translations exist; "
            "name a strategy that needs none first, such as erm, or give a finished run with --from-run"
        )
    if stages == ("retrain",) and translated:
        trainings.translated()
    if stages == ("report",):
        trainings.all(seeds)
        _read(trainings.output / FIND)
        if translated:
            _read(trainings.output / TRANSLATE)


def find_stage(trainings: Trainings, groups: Groups, seeds: list[int], given: Model | None, quiet: bool) -> dict[str, Any]:
    """Train the first row, unless a model is given, and measure it on every group; returns find.json's content."""
    model = given
    if model is None:
        row, seed = trainings.rows[0], seeds[0]
        tried = len(row.grid) * len(seeds) if len(row.grid) > 1 else 1
        with bar(trainings.settings.epochs * tried, quiet) as progress:
            progress.label(f"find: {row.label}, seed {seed}")
            trainings.train([row], seeds if len(row.grid) > 1 else [seed], progress)
        choice = trainings.chosen(row, seeds)
        model = model_of(trainings.folder(row, seed, choice), trainings.dataset, row.label, trainings.settings.device)
    found = found_groups(model, trainings.dataset, groups)
    write_json(trainings.output / FIND, found)
    return found


def _retrained(trainings: Trainings, seeds: list[int], quiet: bool) -> list[Trained]:
    total = sum(len(row.grid) * len(seeds) for row in trainings.rows) * trainings.settings.epochs
    with bar(total, quiet) as progress:
        progress.label("retrain")
        trainings.train(trainings.rows, seeds, progress)
    return trainings.all(seeds)


def _before(trainings: Trainings, first: Trained) -> Model:
    return model_of(first.folders[0], trainings.dataset, first.row.strategy.split("(")[0], trainings.settings.device)


def _test_notes(dataset: Dataset, groups: Groups) -> list[str]:
    """Notes on images without a group and on groups without images."""
    notes = []
    for name, part in (("validation", dataset.validation), ("test", dataset.test)):
        cells = groups.of_split(part)
        unknown = int((cells < 0).sum())
        if unknown:
            notes.append(f"{unknown} of {len(cells)} {name} images have no group: they count in the accuracy but in no group")
        missing = [n for g, n in enumerate(groups.names) if int(groups.counts[g]) and not bool((cells == g).any())]
        notes += [f"group {n!r} has no {name} image: its accuracy there is unknown" for n in missing]
    untrained = [n for g, n in enumerate(groups.names) if not int(groups.counts[g])]
    return notes + [f"group {n!r} has no training image: it is evaluated only" for n in untrained]


def _read(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"--stage report: {file} does not exist yet; first run the stage that writes it") from None
