"""Settings: everything that decides a training's result, as written into config.yaml."""

from dataclasses import asdict, dataclass, fields, replace
from typing import Annotated, Any, Literal, get_args, get_type_hints

from augury.core.errors import InputError
from augury.core.options import Interval, convert
from augury.core.registry import unknown
from augury.train.data.resize import Resize

# Settings that cannot alter a result, so that a resumed run may change them.
HARMLESS = frozenset({"data_dir", "decode_workers", "stream", "checkpoint_seconds"})


@dataclass(frozen=True)
class Settings:
    """One training. Names, augmentations and strategies are written in the grammar of `augury.core.grammar`.

    augment2: the second pipeline, for strategies whose views may differ in it. model: a network, or as many as the strategy
    trains, parted by commas. fraction, label_noise: see `augury.train.data.subsets`.

    lr is what one batch is trained with; with `lr_base_size` it is the rate of that many images, scaled linearly to the batch.
    decay_milestones: epochs, or fractions of `epochs` where below 1. grad_accum_steps: parts into which a batch is cut, one
    after another through the network; the images of an optimiser step stay the same. refine_*: `engine.refinement`.
    """

    data: str
    augment: str = "none"
    augment2: str | None = None
    strategy: str = "erm"
    model: str = "small_cnn"
    epochs: Annotated[int, Interval(1)] = 60
    batch_size: Annotated[int, Interval(2)] | None = None
    opt: Literal["sgd", "rmsprop", "adam", "adamw"] = "sgd"
    opt_eps: Annotated[float, Interval(1e-20)] | None = None
    opt_alpha: Annotated[float, Interval(0, 0.99999)] = 0.9
    lr: Annotated[float, Interval(0)] = 0.1
    lr_base_size: Annotated[int, Interval(1)] | None = None
    momentum: Annotated[float, Interval(0, 0.9999)] = 0.9
    nesterov: bool = True
    weight_decay: Annotated[float, Interval(0)] = 5e-4
    sched: Literal["cosine", "multistep", "step", "constant"] = "cosine"
    decay_milestones: tuple[Annotated[float, Interval(0)], ...] = (0.3, 0.6, 0.8)
    decay_epochs: Annotated[float, Interval(0.01)] | None = None
    decay_rate: Annotated[float, Interval(0, 1)] = 0.2
    warmup_epochs: Annotated[float, Interval(0)] = 0.0
    warmup_lr: Annotated[float, Interval(0)] = 0.0
    smoothing: Annotated[float, Interval(0, 0.999)] = 0.0
    clip_grad: Annotated[float, Interval(1e-9)] | None = None
    grad_accum_steps: Annotated[int, Interval(1)] = 1
    model_ema_decay: Annotated[float, Interval(0, 0.9999999)] | None = None
    refine_epochs: Annotated[int, Interval(0)] = 0
    refine_at: Annotated[int, Interval(1)] | None = None
    refine_mode: Literal["standard", "nothing", "gradual", "gradual_chance", "statistics"] = "standard"
    refine_sched: Literal["constant", "cosine"] = "constant"
    refine_lr: Annotated[float, Interval(0)] | None = None
    risk_every: Annotated[int, Interval(1)] | None = None
    risk_epochs: tuple[Annotated[int, Interval(1)], ...] = ()
    seed: Annotated[int, Interval(0, 2**31 - 1)] = 0
    sampling: Literal["shuffled", "groups"] = "shuffled"
    select: Literal["last", "validation", "worst_group"] = "last"
    patience: Annotated[int, Interval(1)] | None = None
    data_dir: str | None = None
    validation: Annotated[float, Interval(0, 1)] = 0.1
    image_size: Annotated[int, Interval(1)] | tuple[Annotated[int, Interval(1)], ...] | None = None
    resize: Resize = "cover"
    intensity_range: str = "auto"
    fraction: Annotated[float, Interval(0, 1)] = 1.0
    label_noise: Annotated[float, Interval(0, 1)] = 0.0
    labels: Annotated[int, Interval(1)] | None = None
    labels_per_class: Annotated[int, Interval(1)] | None = None
    device: str = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    capture: bool = True
    stream: Literal["auto", "yes", "no"] = "auto"
    decode_workers: Annotated[int, Interval(0, 512)] | None = None
    checkpoint_seconds: Annotated[float, Interval(0)] = 0.0

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

    @property
    def refined(self) -> bool:
        """Whether the training ends with refinement."""
        return self.refine_epochs > 0 or self.refine_at is not None

    @property
    def stage_one(self) -> int:
        """Epochs before the refinement; all where there is none."""
        return self.epochs if self.refine_at is None else self.refine_at

    @property
    def total_epochs(self) -> int:
        """Epochs with those that refinement adds."""
        return self.epochs + self.refine_epochs

    @property
    def peak_lr(self) -> float:
        """The highest learning rate, scaled to the batch where that is asked for (once the batch size is resolved)."""
        return self.lr if self.lr_base_size is None else self.lr * (self.batch_size or self.lr_base_size) / self.lr_base_size

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
    return {k: convert(_number(v, hints[k]), hints[k], f"{_flag(k, where)}: {v!r}") for k, v in values.items()}


def _number(value: Any, hint: Any) -> Any:
    """Where the type holds numbers with a fraction, `1e-2` as one: YAML 1.1 takes it for a word, wanting `1.0e-2`."""
    if isinstance(value, list | tuple):
        return [_number(each, hint) for each in value]
    if not isinstance(value, str) or not _holds_float(hint):
        return value
    try:
        return float(value)
    except ValueError:
        return value


def _holds_float(hint: Any) -> bool:
    return hint is float or any(_holds_float(part) for part in get_args(hint))


def _flag(key: str, where: str) -> str:
    return f"--{key.replace('_', '-')}" if where.startswith("--") else f"{where}: {key}"
