"""The output folder of `augury patch`."""

from dataclasses import asdict
from pathlib import Path

from augury.jobs.patch.settings import PatchSettings
from augury.train.engine.checkpoint import NAME, PREVIOUS
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.settings import Settings

FIND, TRANSLATE, TRANSLATED = "find.json", "translate.json", "translated.npy"


def open_folder(output: Path, settings: Settings, patch: PatchSettings, *, overwrite: bool, resume: bool) -> RunDirectory:
    """The command's folder; refused as in `RunDirectory.open`. Overwriting removes only the command's own files."""
    directory = RunDirectory.open(output, {**settings.dict(), **asdict(patch)}, overwrite=overwrite, resume=resume)
    if overwrite and not resume:
        for file in (output / FIND, output / TRANSLATE, output / TRANSLATED, *output.glob("translations/*.png")):
            file.unlink(missing_ok=True)
        for name in (NAME, PREVIOUS):
            for file in output.glob(f"translations/*/{name}"):
                file.unlink()
    return directory
