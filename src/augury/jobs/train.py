"""`augury train`: one training, with its report; in one process, or in several under torchrun."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from augury.augment.names import read_policy_file
from augury.explain.pages.page import train_page
from augury.jobs.environment import environment
from augury.jobs.estimate import Before, Work, announce, remaining
from augury.jobs.progress import bar, heard_by
from augury.jobs.reporting import settings_shown, training_sheet
from augury.train.data.dataset import Dataset
from augury.train.engine.checkpoint import write_atomically
from augury.train.engine.metrics import metric_of
from augury.train.engine.prepare import prepare
from augury.train.engine.run import OnEpoch, Trainer
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.settings import Settings
from augury.train.engine.source import load_for
from augury.train.engine.stage_one import StageOne
from augury.train.engine.training import Training
from augury.train.engine.world import World, join, leave


def train(
    settings: Settings,
    output: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
    before: Before | None = None,
    on_epoch: OnEpoch | None = None,
    refine_from: Path | None = None,
) -> dict[str, Any] | None:
    """Train, evaluate once on the test part and write the run's files into `output`; returns result.json's content.

    on_epoch: is given every epoch's line of metrics.jsonl. before: is told how long it will
    take, where that is long, and may refuse. refine_from: the folder of a run whose stage one is taken over, see `StageOne`.
    Started by torchrun, the processes train together; only the first writes, and the others return None.
    """
    world, device = join(settings.device)
    try:
        return _train(settings, output, world, device, resume, overwrite, quiet, before, on_epoch, refine_from)
    finally:
        leave()


def _train(
    settings: Settings,
    output: Path,
    world: World,
    device: str,
    resume: bool,
    overwrite: bool,
    quiet: bool,
    before: Before | None,
    on_epoch: OnEpoch | None,
    refine_from: Path | None,
) -> dict[str, Any] | None:
    dataset = load_for(settings)
    settings = settings.resolved(len(dataset.train.ids), metric_of(settings.metric, dataset.kind).name)
    training = prepare(replace(settings, device=device), dataset, world=world)
    taken = None if refine_from is None else world.first(lambda: _stage_one(refine_from, training))
    if world.size == 1:
        left = remaining(output, settings, resume=resume, taken_over=taken is not None)
        announce([Work(settings, dataset, 1, left)], before)
    directory = world.first(lambda: RunDirectory.open(output, settings.dict(), overwrite=overwrite, resume=resume))
    finished = world.from_first(world.first(lambda: None if directory is None else directory.result()))
    if finished is not None:
        return finished if world.leads else None
    if taken is not None and directory is not None:
        taken.begin(directory, training.settings)
    with bar(settings.total_epochs, quiet or not world.leads) as progress:
        progress.label(f"{settings.augment} {settings.model}")
        result = Trainer(training).run(directory, heard_by(partial(progress.trained, output), on_epoch))
        progress.skip_to(output, settings.total_epochs)
    if directory is None:
        return None
    result |= {"environment": environment(training.device), "notes": [*dataset.notes, *result.get("notes", ())]}
    if world.size > 1:
        result["processes"] = world.size
    write_atomically(output / "report.html", _page(training, dataset, settings, directory, result).encode())
    directory.finish(result)
    return result


def _stage_one(run: Path, training: Training) -> StageOne:
    taken = StageOne.of(run, training.settings)
    taken.check(training)
    return taken


def _page(training: Training, dataset: Dataset, settings: Settings, directory: RunDirectory, result: dict[str, Any]) -> str:
    saliency = None if training.method.saliency is None else training.method.saliency.source
    return train_page(
        result,
        settings=settings_shown(settings, result["environment"]),
        curves=directory.metrics(),
        sheets=[training_sheet(settings, dataset, run=directory.path, saliency=saliency)],
        notes=result["notes"],
        schedule=read_policy_file(found) if (found := directory.path / "policies.yaml").exists() else None,
    )
