"""The settings of `augury patch` beyond those of a training."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from augury.core.errors import InputError
from augury.core.flags import flag
from augury.core.options import Interval
from augury.train.engine.settings import checked
from augury.train.translation.settings import Kind, TranslationSettings

Stage = Literal["find", "translate", "retrain", "report"]
STAGES: tuple[Stage, ...] = ("find", "translate", "retrain", "report")
DEFAULT_ROWS = "erm,erm+balanced,group_dro(adjustment=1),clamp(adjustment=1)"


@dataclass(frozen=True)
class PatchSettings:
    """seeds: trainings per strategy. from_run: the folder of a finished run whose network is to be patched, instead of the first
    strategy's. translate: a CycleGAN for each class, or one for all. translate_*: their training (`TranslationSettings`);
    translate_augment: the augmentation of their images."""

    seeds: Annotated[int, Interval(1, 1000)] = flag(8, "Patching", "trainings per strategy")
    from_run: str | None = flag(
        None, "Patching", "finished run whose network is to be patched", value="RUN", unset="one trained by the first strategy"
    )
    translate: Literal["class", "all"] = flag("all", "Patching", "one CycleGAN for each class, or one for all classes")
    translate_generator: Kind = flag(
        "masked",
        "Patching",
        "masked changes an image only where a mask says so; guided is also shown an example of the target; published is the "
        "paper's CycleGAN",
    )
    translate_steps: Annotated[int, Interval(1)] = flag(1000, "Patching", "steps of each CycleGAN")
    translate_batch_size: Annotated[int, Interval(2)] = flag(16, "Patching", "images of each subgroup per step")
    translate_lr: Annotated[float, Interval(0)] | None = flag(
        None, "Patching", "Adam's learning rate for the generators", value="RATE", unset="1e-3; 2e-4 with published generators"
    )
    translate_lr_discriminator: Annotated[float, Interval(0)] = flag(
        2e-4, "Patching", "Adam's learning rate for the discriminators", value="RATE"
    )
    translate_augment: str = flag(
        "crop", "Patching", "augmentation of the images that the CycleGANs are trained on", value="AUGMENTATION"
    )

    @staticmethod
    def of(values: dict[str, Any], where: str) -> "PatchSettings":
        """From a flat mapping, as `Settings.of`."""
        return PatchSettings(**checked(PatchSettings, values, where))

    def translation(self, seed: int) -> TranslationSettings:
        usual = 2e-4 if self.translate_generator == "published" else 1e-3
        return TranslationSettings(
            self.translate_steps, self.translate_batch_size, usual if self.translate_lr is None else self.translate_lr,
            self.translate_lr_discriminator, seed, self.translate_generator,
        )  # fmt: skip


def stages_named(text: str | None) -> tuple[Stage, ...]:
    """All stages, or the named one; InputError for an unknown name."""
    if text is None:
        return STAGES
    for stage in STAGES:
        if text == stage:
            return (stage,)
    raise InputError(f"--stage: unknown stage {text!r}; name one of {', '.join(STAGES)}")
