"""Settings: everything that decides a training's result, as written into config.yaml."""

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import yaml

from augury.core.errors import InputError
from augury.core.options import Interval, convert
from augury.core.registry import unknown


@dataclass(frozen=True)
class Settings:
    """One training. Names, augmentations and strategies are written in the grammar of `augury.core.grammar`.

    augment2: the second pipeline, for strategies whose views may differ in it. model: a network, or as many as the strategy
    trains, parted by commas. fraction, label_noise: see `augury.train.data.subsets`.
    """

    data: str
    augment: str = "none"
    augment2: str | None = None
    strategy: str = "erm"
    model: str = "small_cnn"
    epochs: Annotated[int, Interval(1)] = 60
    batch_size: Annotated[int, Interval(2)] | None = None
    lr: Annotated[float, Interval(0)] = 0.1
    momentum: Annotated[float, Interval(0, 0.9999)] = 0.9
    nesterov: bool = True
    weight_decay: Annotated[float, Interval(0)] = 5e-4
    sched: Literal["cosine", "step"] = "cosine"
    decay_milestones: tuple[float, ...] = (0.3, 0.6, 0.8)
    decay_rate: Annotated[float, Interval(0, 1)] = 0.2
    seed: Annotated[int, Interval(0, 2**31 - 1)] = 0
    sampling: Literal["shuffled", "groups"] = "shuffled"
    select: Literal["last", "validation", "worst_group"] = "last"
    patience: Annotated[int, Interval(1)] | None = None
    data_dir: str | None = None
    validation: Annotated[float, Interval(0, 1)] = 0.1
    image_size: Annotated[int, Interval(1)] | None = None
    fraction: Annotated[float, Interval(0, 1)] = 1.0
    label_noise: Annotated[float, Interval(0, 1)] = 0.0
    labels: Annotated[int, Interval(1)] | None = None
    labels_per_class: Annotated[int, Interval(1)] | None = None
    device: str = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"

    @staticmethod
    def of(values: dict[str, Any], where: str) -> "Settings":
        """From a flat mapping; InputError naming the field, its range or the nearest field."""
        return Settings(**checked(Settings, values, where))

    def resolved(self, images: int) -> "Settings":
        """With the batch size filled in for a training part of `images`.

        128, or a smaller power of two (at least 8) that makes six steps an epoch of few images.
        """
        if self.batch_size is not None:
            return self
        return replace(self, batch_size=min(128, 1 << max(3, (images // 6).bit_length() - 1)))

    def dict(self) -> dict[str, Any]:
        """Plain values, for YAML and JSON."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}


def checked(kind: Any, values: dict[str, Any], where: str) -> dict[str, Any]:
    """`values` converted to the declared types of a settings dataclass's fields."""
    hints = get_type_hints(kind, include_extras=True)
    known = [f.name for f in fields(kind)]
    for key in values:
        if key not in known:
            raise InputError(f"{where}: {unknown('setting', str(key), known)}")
    return {k: convert(v, hints[k], f"{_flag(k, where)}: {v!r}") for k, v in values.items()}


def read_config(path: Path) -> dict[str, Any]:
    """A YAML file of settings, dashes in keys allowed; InputError for what cannot be read. Never executes anything."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"-c {path}: no such file") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"-c {path}: not readable as YAML ({str(error).splitlines()[0]})") from None
    if not isinstance(values, dict):
        raise InputError(f"-c {path}: expected `setting: value` lines")
    return {str(key).replace("-", "_"): value for key, value in values.items()}


def _flag(key: str, where: str) -> str:
    return f"--{key.replace('_', '-')}" if where.startswith("--") else f"{where}: {key}"
