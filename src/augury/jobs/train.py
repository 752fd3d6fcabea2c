"""`augury train`: one training, with its report."""

from pathlib import Path
from typing import Any

from augury.core.options import parse_chain
from augury.explain.report.page import train_page
from augury.jobs.environment import environment
from augury.jobs.progress import bar
from augury.jobs.reporting import settings_shown, sheet_of
from augury.train.engine.checkpoint import write_atomically
from augury.train.engine.loop import Training
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.settings import Settings
from augury.train.engine.source import load_for


def train(
    settings: Settings, output: Path, *, resume: bool = False, overwrite: bool = False, quiet: bool = False
) -> dict[str, Any]:
    """Train, evaluate once on the test part and write the run's files into `output`; returns result.json's content."""
    dataset = load_for(settings)
    settings = settings.resolved(len(dataset.train.ids))
    training = Training.prepare(settings, dataset)
    directory = RunDirectory.open(output, settings.dict(), overwrite=overwrite, resume=resume)
    finished = directory.result()
    if finished is not None:
        return finished
    with bar(settings.total_epochs, quiet) as progress:
        progress.label(f"{settings.augment} {settings.model}")
        result = training.run(directory, progress.epoch)
    result |= {"environment": environment(training.device), "notes": [*dataset.notes, *result.get("notes", ())]}
    fill = None if training.fill is None else training.fill.saliency
    augments = [name for name in (settings.augment, settings.augment2) if name is not None]
    page = train_page(
        result,
        settings=settings_shown(settings, result["environment"]),
        curves=directory.metrics(),
        sheets=[sheet_of(dataset, parse_chain(name, "--augment"), settings.seed, fill) for name in augments],
        notes=result["notes"],
    )
    write_atomically(output / "report.html", page.encode())
    directory.finish(result)
    return result
