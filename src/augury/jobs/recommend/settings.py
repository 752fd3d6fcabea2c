"""What decides a recommendation."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from augury.core.flags import flag
from augury.core.options import Interval
from augury.train.engine.settings import MetricName, Settings, checked
from augury.train.engine.tuning import Tune, layered, run_model

REFERENCE = "crop+flip"


@dataclass(frozen=True)
class RecommendSettings:
    """A recommendation; whatever is None is decided by the images and the time.

    error_rate: the largest chance that the race drops the candidate that is best. Other fields as in `Settings`.
    """

    data: str
    minutes: Annotated[float, Interval(0.05, 100_000)] = flag(10.0, "Recommendation", "time to take, in minutes", value="M")
    candidates: str | None = flag(
        None, "Recommendation", "augmentations to race, separated by commas", value="A,B,...", unset="a broad list"
    )
    reference: str = flag(REFERENCE, "Recommendation", "what a recommendation has to beat", value="AUGMENTATION")
    metric: MetricName | None = flag(
        None,
        "Recommendation",
        "what is compared: accuracy, balanced, macro_f1, auroc, worst_class, worst_group or log_loss",
        value="NAME",
        unset="accuracy; balanced where classes are uneven",
    )
    error_rate: Annotated[float, Interval(0.001, 0.5)] = flag(
        0.05, "Recommendation", "largest chance, over the whole race, that the best candidate is dropped"
    )
    model: str | None = flag(None, "Training", "network", value="NETWORK", unset="by the images and the time")
    epochs: Annotated[int, Interval(1)] | None = flag(
        None, "Training", "epochs of the final trainings; the race begins with a quarter", unset="by the images and the time"
    )
    batch_size: Annotated[int, Interval(2)] | None = flag(
        None, "Training", "source images per optimiser step", unset="128, or fewer for small data, so that an epoch has six steps"
    )
    lr: Annotated[float, Interval(0)] | None = flag(
        None, "Training", "highest learning rate", value="RATE", unset="0.1, or that of --tune"
    )
    pretrained: str | None = flag(
        None,
        "Training",
        "the weights that networks start from: a file, a run's folder, or yes or a tag for published ones",
        value="FILE|RUN|yes|TAG",
        unset="nothing",
    )
    tune: Tune | None = flag(
        None,
        "Training",
        "settings for what --pretrained gives: probe trains the head alone, finetune everything",
        unset="finetune with --pretrained",
    )
    seed: Annotated[int, Interval(0, 2**31 - 1)] = flag(0, "Training", "first seed of the final trainings")
    data_dir: str | None = flag(
        None, "Data", "folder of a named data set: torchvision's layout, or DIR/NAME/train.npz", value="DIR"
    )
    image_size: Annotated[int, Interval(1)] | tuple[Annotated[int, Interval(1)], ...] | None = flag(
        None,
        "Data",
        "side to which images are brought, or rows and columns, such as 256,128",
        value="N|ROWS,COLUMNS",
        unset="the largest of 32, 64, 128 and 224 that the images and the time allow",
    )
    resize: Literal["cover", "fit", "stretch"] = flag("cover", "Data", "how images of another shape are brought to that size")
    fraction: Annotated[float, Interval(0, 1)] = flag(1.0, "Data", "fraction of the training images that is used")
    cache: str | None = flag(
        None, "Device and speed", "folder where decoded images are kept for later commands, or off", value="DIR|off",
        unset="~/.cache/augury/decoded",
    )  # fmt: skip
    device: str = flag("auto", "Device and speed", "cpu, cuda, cuda:1, ...; auto takes a GPU if there is one", value="DEVICE")
    precision: Literal["auto", "float32", "bfloat16"] = flag(
        "auto",
        "Device and speed",
        "floating-point precision; auto takes bfloat16 where the device computes in it and a probe finds it faster",
    )

    @staticmethod
    def of(values: dict[str, Any], where: str) -> "RecommendSettings":
        """From a flat mapping; InputError naming the field, its range or the nearest field."""
        return RecommendSettings(**checked(RecommendSettings, values, where))

    def training(self, **decided: Any) -> Settings:
        """The settings of a training, with what was decided; without, those of the reference."""
        own = {
            "data": self.data, "augment": self.reference, "seed": self.seed, "data_dir": self.data_dir, "resize": self.resize,
            "image_size": self.image_size, "fraction": self.fraction, "device": self.device, "precision": self.precision,
            "cache": self.cache, "batch_size": self.batch_size, "pretrained": self.pretrained,
        }  # fmt: skip
        given = {"lr": self.lr, "model": self.model, "tune": self.tune}
        return Settings(**{**layered(own, {key: value for key, value in given.items() if value is not None}), **decided})

    @property
    def network(self) -> str | None:
        """The network, where the user or the weights decide it."""
        return self.model or run_model(self.pretrained) or (None if self.pretrained is None else self.training().model)
