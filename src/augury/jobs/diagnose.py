"""`augury diagnose`: measurements of finished runs, compared with each other."""

import inspect
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from augury.core import registry
from augury.core.errors import InputError
from augury.core.options import Spec
from augury.explain.measurements.measurement import Measured, Subject
from augury.explain.pages.page import diagnosis_page
from augury.jobs.environment import environment
from augury.jobs.named import named
from augury.jobs.progress import bar
from augury.jobs.runs import Run, open_run, other_data
from augury.train.data.dataset import Dataset
from augury.train.engine.checkpoint import write_atomically
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.settings import HARMLESS, Settings
from augury.train.engine.setup import one_class_only
from augury.train.models.run_folders import run_folders, unfinished

ALL = "all"


def diagnose(
    runs: Sequence[Path], output: Path, *, what: str = ALL, data: str | None = None, data_dir: str | None = None,
    train: bool = False, device: str = "auto", overwrite: bool = False, quiet: bool = False,
) -> tuple[dict[str, Any], dict[str, Measured]]:  # fmt: skip
    """Measure the networks of finished trainings and comparisons on their test part, or on other data with their classes.

    what: measurements with their options; `all` runs every registered one, and the report names those that refuse.
    train: allow measurements to train networks of their own.
    Writes config.yaml, result.json and report.html into `output`; returns result.json's content and the measurements.
    Raises InputError, before anything is written, for a folder without a finished run, for runs on different data without
    `data`, and for unknown measurements and options.
    """
    specs = _specs(what, train)
    opened = _opened(runs, device)
    dataset = _common_data(opened) if data is None else other_data(opened[0], data, data_dir)
    one_class_only(dataset, "diagnose")
    subjects = subjects_of(opened)
    config = {"runs": [str(run) for run in runs], "what": what, "train": train, "data": data, "data_dir": data_dir}
    fresh = not output.exists()
    directory = RunDirectory.open(output, config, overwrite=overwrite)
    try:
        found, refused = _measured(specs, subjects, dataset, quiet, lenient=what == ALL)
    except InputError:
        _leave_nothing(directory, fresh)
        raise
    result = {
        "version": 1,
        "data": data or opened[0].settings.data,
        "networks": [
            {
                "name": s.name, "folder": str(s.folder), "model": s.settings.model, "accuracy": s.result["accuracy"],
                "counts": s.result["counts"],
            }
            for s in subjects
        ],
        "measurements": {name: measured.values for name, measured in found.items()},
        "notes": [*dataset.notes, *_left_out(runs), *refused],
        "environment": environment(opened[0].device),
    }  # fmt: skip
    write_atomically(output / "report.html", _page(result, found, subjects).encode())
    directory.finish(result)
    return result, found


def subjects_of(runs: Sequence[Run]) -> list[Subject]:
    """Every network of the runs, named by the settings that distinguish the trainings; seeds of one training share a group."""
    names = group_names([run.settings for run in runs])
    subjects = []
    for run, name in zip(runs, names, strict=True):
        for number, (model, spec) in enumerate(zip(run.networks, run.models, strict=True), start=1):
            group = f"{name}, network {number} ({spec})" if len(run.networks) > 1 else name
            result = {**run.result, **run.result["networks"][number - 1]}
            mean, std = run.identity.mean, run.identity.std
            subjects.append(Subject(group, run.settings.seed, model, mean, std, run.settings, run.device, run.path, result))
    return subjects


def group_names(settings: Sequence[Settings]) -> list[str]:
    """The augmentation and the strategy, and every other setting that differs, except the seed, the device and the data
    folder."""
    shown = ("augment", "augment2", "strategy")
    kept = [f.name for f in fields(Settings) if f.name not in (*shown, "seed", "device", *HARMLESS)]
    differing = [key for key in kept if len({str(getattr(s, key)) for s in settings}) > 1]

    def name(s: Settings) -> str:
        views = s.augment if s.augment2 is None else f"{s.augment}, {s.augment2}"
        return ", ".join([views, s.strategy, *(f"{key.replace('_', ' ')} {getattr(s, key)}" for key in differing)])

    return [name(s) for s in settings]


def _specs(what: str, train: bool) -> dict[str, tuple[Spec, dict[str, Any]]]:
    """Measurements by the text that names them, with their options checked."""
    found = named("measurement", "measurement", ",".join(registry.names("measurement")) if what == ALL else what)
    for spec, options in found.values():
        if train and "train" in inspect.signature(registry.get("measurement", spec.name)).parameters:
            options.setdefault("train", True)
    return found


def _measured(
    specs: dict[str, tuple[Spec, dict[str, Any]]], subjects: list[Subject], dataset: Dataset, quiet: bool, *, lenient: bool
) -> tuple[dict[str, Measured], list[str]]:
    """The measurements' results and, if `lenient`, the messages of those that refused; InputError if all of them did."""
    found: dict[str, Measured] = {}
    refused: list[str] = []
    with bar(len(specs), quiet, "measurements") as progress:
        for name, (spec, options) in specs.items():
            progress.label(name)
            try:
                found[name] = registry.get("measurement", spec.name)(subjects, dataset, **options)
            except InputError as error:
                if not lenient:
                    raise
                refused.append(f"{name} was not measured: {error}")
            progress.advance()
    if not found:
        raise InputError(refused[0] if refused else "--what: nothing to measure")
    return found, refused


def _leave_nothing(directory: RunDirectory, fresh: bool) -> None:
    """Remove the folder after a refusal: some options are checked only when a measurement reads them."""
    directory.clear()
    if fresh:
        directory.path.rmdir()


def _opened(paths: Sequence[Path], device: str) -> list[Run]:
    """The runs; for a comparison's folder, all runs in it. Data shared by several are read once."""
    folders = [folder for path in paths for folder in run_folders(path)]
    for folder in folders:
        if folders.count(folder) > 1:
            raise InputError(f"RUN: {folder} is named twice")
    data: dict[Any, Dataset] = {}
    return [open_run(folder, device, data) for folder in folders]


def _left_out(paths: Sequence[Path]) -> list[str]:
    """Says of every folder of several runs whose command has not ended that not all of its runs are looked at."""
    return [
        f"{path} is not finished: only the {len(inside)} of its trainings that are were measured; its command with --resume ends it"
        for path in paths
        if (inside := run_folders(path)) != [path] and unfinished(path)
    ]


def _common_data(runs: Sequence[Run]) -> Dataset:
    """The first run's data; InputError if another run's test part is not the same."""
    first = runs[0]
    for run in runs[1:]:
        own, other = first.dataset, run.dataset
        same = own.classes == other.classes and own.test.images.shape == other.test.images.shape
        if not same or not bool((own.test.images == other.test.images).all()):
            raise InputError(f"{run.path}: trained on other data than {first.path}; name data for all of them with --data")
    return first.dataset


def _page(result: dict[str, Any], found: dict[str, Measured], subjects: Sequence[Subject]) -> str:
    groups = list(dict.fromkeys(s.group for s in subjects))
    where = result["environment"]
    shown = {
        "data": result["data"],
        "networks": str(len(subjects)),
        "model": subjects[0].settings.model,
        "hardware": where["device"],
        "versions": ", ".join(f"{name} {where[name]}" for name in ("augury", "torch")),
    }
    each = [
        f"{s.name}: accuracy {s.result['accuracy']:.2f} %; {s.result['counts']['images']:,} images, "
        f"{s.result['counts']['forward']:,} forward and {s.result['counts']['backward']:,} backward passes; {s.folder}"
        for s in subjects
    ]
    trainings = "one training" if len(groups) == 1 else f"{len(groups)} trainings"
    return diagnosis_page(
        found,
        summary=f"{len(subjects)} network{'s' if len(subjects) > 1 else ''} of {trainings}, measured on {result['data']}.",
        settings=shown,
        notes=[*each, *result["notes"]],
    )
