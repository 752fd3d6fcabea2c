"""What `augury patch` is told beside a training's settings, and the folder it keeps everything in."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from augury.core.errors import InputError
from augury.core.options import Interval
from augury.train.engine.checkpoint import NAME, PREVIOUS
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.settings import Settings, checked
from augury.train.translation.cyclegan import TranslationSettings

Stage = Literal["find", "translate", "retrain", "report"]
STAGES: tuple[Stage, ...] = ("find", "translate", "retrain", "report")
FIND, TRANSLATE, TRANSLATED = "find.json", "translate.json", "translated.npy"


@dataclass(frozen=True)
class PatchSettings:
    """seeds: trainings per strategy. from_run: the folder of a finished run whose network is to be patched, instead of the first
    strategy's. translate: a CycleGAN for each class, or one for all. translate_*: their training (`TranslationSettings`);
    translate_augment: what their images go through."""

    seeds: Annotated[int, Interval(1, 1000)] = 8
    from_run: str | None = None
    translate: Literal["class", "all"] = "class"
    translate_steps: Annotated[int, Interval(1)] = 1000
    translate_batch_size: Annotated[int, Interval(2)] = 16
    translate_lr: Annotated[float, Interval(0)] = 2e-4
    translate_lr_discriminator: Annotated[float, Interval(0)] = 2e-4
    translate_augment: str = "none"

    @staticmethod
    def of(values: dict[str, Any], where: str) -> "PatchSettings":
        """From a flat mapping, as `Settings.of`."""
        return PatchSettings(**checked(PatchSettings, values, where))

    def translation(self, seed: int) -> TranslationSettings:
        return TranslationSettings(
            self.translate_steps, self.translate_batch_size, self.translate_lr, self.translate_lr_discriminator, seed
        )


def open_folder(output: Path, settings: Settings, patch: PatchSettings, *, overwrite: bool, resume: bool) -> RunDirectory:
    """The command's folder; refused as `RunDirectory.open` does. Overwriting removes the command's own files alone."""
    directory = RunDirectory.open(output, {**settings.dict(), **asdict(patch)}, overwrite=overwrite, resume=resume)
    if overwrite and not resume:
        for file in (output / FIND, output / TRANSLATE, output / TRANSLATED, *output.glob("translations/*.png")):
            file.unlink(missing_ok=True)
        for name in (NAME, PREVIOUS):
            for file in output.glob(f"translations/*/{name}"):
                file.unlink()
    return directory


def stages_named(text: str | None) -> tuple[Stage, ...]:
    """All stages, or the one that is named; InputError for another name."""
    if text is None:
        return STAGES
    for stage in STAGES:
        if text == stage:
            return (stage,)
    raise InputError(f"--stage: unknown stage {text!r}; one of {', '.join(STAGES)}")
