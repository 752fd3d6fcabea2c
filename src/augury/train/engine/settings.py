"""Settings: everything that determines a training's result, as written into config.yaml."""

from dataclasses import asdict, dataclass, fields, replace
from typing import Annotated, Any, Literal, get_args, get_type_hints

from augury.core.draws import Draws
from augury.core.errors import InputError
from augury.core.flags import flag
from augury.core.options import Interval, convert
from augury.core.registry import unknown
from augury.core.text import shortened

MetricName = Literal[
    "accuracy", "balanced", "macro_f1", "auroc", "worst_class", "worst_group", "log_loss", "map", "map_micro"
]  # fmt: skip

# Settings that do not affect the result, so that a resumed run may change them.
HARMLESS = frozenset({"data_dir", "cache", "log", "decode_workers", "stream", "checkpoint_seconds"})

# The key in config.yaml of the texts of a run's policy files.
POLICY_FILES = "policy_files"
# The key in config.yaml of the hashes of the weight files that a run started from.
PRETRAINED_FILES = "pretrained_files"


@dataclass(frozen=True)
class Settings:
    """The settings of one training. Augmentations, strategies and networks are written in the grammar of `augury.core.grammar`.

    augment2: a second pipeline, for strategies that can augment their views differently. model: a network, or one for each that
    the strategy trains, separated by commas. fraction, label_noise: see `augury.train.data.subsets`.

    lr: the highest learning rate; with `lr_base_size`, for batches of that many images, scaled linearly to the batch size.
    decay_milestones: epochs, or fractions of `epochs` if below 1. grad_accum_steps: micro-batches that a batch is split into;
    the images of an optimiser step stay the same. refine_*: see `augury.train.engine.refinement`.
    """

    data: str
    augment: str = flag(
        "none",
        "Augmentation and strategy",
        "augmentation of the training images, for example crop+flip+cutout(length=8)",
        value="AUGMENTATION",
    )
    augment2: str | None = flag(
        None,
        "Augmentation and strategy",
        "second augmentation, for strategies that can augment their views differently, such as ait",
        value="AUGMENTATION",
    )
    strategy: str = flag("erm", "Augmentation and strategy", "how the loss is computed from the augmented images", value="STRATEGY")
    model: str = flag(
        "small_cnn",
        "Network",
        "network: a name from `augury list`, torchvision:NAME or timm:NAME; A,B for strategies that train several",
        value="NETWORK",
    )
    pretrained: str | None = flag(
        None,
        "Trained weights",
        "initial weights: a file, a run's folder, or yes or a tag for published ones; A,B for several networks",
        value="FILE|RUN|yes|TAG",
        unset="random",
    )
    freeze: Literal["backbone"] | Annotated[int, Interval(1)] | None = flag(
        None,
        "Trained weights",
        "what is not trained: backbone (all but the head), or the stem and N stages after it",
        value="backbone|N",
        unset="nothing",
    )
    layer_decay: Annotated[float, Interval(0.01, 1)] | None = flag(
        None,
        "Trained weights",
        "factor by which the learning rate falls from one layer to the one below it; the head has the full rate",
        unset="one rate for all",
    )
    normalization: Literal["weights", "data"] = flag(
        "weights", "Trained weights", "with --pretrained: normalise images by the weights' mean and deviation, or by the data's"
    )
    epochs: Annotated[int, Interval(1)] = flag(60, "Optimisation", "passes over the training part")
    batch_size: Annotated[int, Interval(2)] | None = flag(
        None,
        "Optimisation",
        "source images per optimiser step",
        unset="128, or fewer for small data, so that an epoch has six steps",
    )
    opt: Literal["sgd", "rmsprop", "adam", "adamw"] = flag("sgd", "Optimisation", "optimiser")
    opt_eps: Annotated[float, Interval(1e-20)] | None = flag(
        None,
        "Optimisation",
        "added to the denominator by rmsprop, adam and adamw, for numerical stability",
        value="X",
        unset="PyTorch's",
    )
    opt_alpha: Annotated[float, Interval(0, 0.99999)] = flag(
        0.9, "Optimisation", "rmsprop: smoothing of the mean square", value="X"
    )
    lr: Annotated[float, Interval(0)] = flag(0.1, "Learning rate", "highest learning rate", value="RATE")
    lr_base_size: Annotated[int, Interval(1)] | None = flag(
        None, "Learning rate", "batch size that --lr is meant for; it is scaled linearly to --batch-size", unset="not scaled"
    )
    momentum: Annotated[float, Interval(0, 0.9999)] = flag(0.9, "Optimisation", "momentum; the first beta of adam and adamw")
    nesterov: bool = flag(True, "Optimisation", "sgd: Nesterov momentum")
    weight_decay: Annotated[float, Interval(0)] = flag(5e-4, "Optimisation", "weight decay")
    sched: Literal["cosine", "cosine_part", "multistep", "step", "constant"] = flag(
        "cosine", "Learning rate", "schedule of the learning rate"
    )
    decay_milestones: tuple[Annotated[float, Interval(0)], ...] = flag(
        (0.3, 0.6, 0.8),
        "Learning rate",
        "multistep: epochs after which the rate falls; below 1, fractions of --epochs",
        value="E,F,...",
    )
    decay_epochs: Annotated[float, Interval(0.01)] | None = flag(
        None, "Learning rate", "step: the rate falls after every N epochs", value="N", unset="a third of --epochs"
    )
    decay_rate: Annotated[float, Interval(0, 1)] = flag(0.2, "Learning rate", "step and multistep: factor by which the rate falls")
    warmup_epochs: Annotated[float, Interval(0)] = flag(
        0.0, "Learning rate", "epochs during which the rate rises linearly from --warmup-lr", value="N"
    )
    warmup_lr: Annotated[float, Interval(0)] = flag(0.0, "Learning rate", "rate at which the warm-up starts", value="RATE")
    smoothing: Annotated[float, Interval(0, 0.999)] = flag(
        0.0, "Optimisation", "label smoothing: the weight that is spread evenly over all classes"
    )
    clip_grad: Annotated[float, Interval(1e-9)] | None = flag(
        None, "Optimisation", "maximum norm of the gradient", unset="not clipped"
    )
    grad_accum_steps: Annotated[int, Interval(1)] = flag(
        1, "Optimisation", "micro-batches per optimiser step, to save memory; the images of a step stay the same"
    )
    model_ema_decay: Annotated[float, Interval(0, 0.9999999)] | None = flag(
        None,
        "Choice of the network",
        "keep an exponential moving average of the weights with this decay, and evaluate it",
        value="X",
        unset="no average",
    )
    refine_epochs: Annotated[int, Interval(0)] = flag(
        0, "Refinement", "further epochs without intensive stages, at a small learning rate"
    )
    refine_at: Annotated[int, Interval(1)] | None = flag(
        None, "Refinement", "switch intensive stages off after this epoch, within --epochs", value="EPOCH"
    )
    refine_mode: Literal["standard", "nothing", "gradual", "gradual_chance", "statistics"] = flag(
        "standard", "Refinement", "standard keeps crop and flip; nothing removes all augmentation; gradual fades it out"
    )
    refine_sched: Literal["constant", "cosine"] = flag(
        "constant", "Refinement", "schedule of the refinement's learning rate; cosine falls to 0"
    )
    refine_lr: Annotated[float, Interval(0)] | None = flag(
        None, "Refinement", "learning rate of the refinement", value="RATE", unset="the schedule's last; 1e-3 after a cosine"
    )
    risk_every: Annotated[int, Interval(1)] | None = flag(
        None,
        "Risk during training",
        "measure the empirical risk on clean and on augmented training images every N epochs",
        unset="not measured",
    )
    risk_epochs: tuple[Annotated[int, Interval(1)], ...] = flag(
        (), "Risk during training", "measure it after these epochs", value="E,F,..."
    )
    seed: Annotated[int, Interval(0, 2**31 - 1)] = flag(
        0, "Optimisation", "seed of weights, order and augmentation; with --seeds, the first of them"
    )
    sampling: Literal["shuffled", "groups", "classes"] = flag(
        "shuffled", "Data", "groups or classes: every batch holds equally many images of each group or class"
    )
    class_weights: Literal["none", "balanced"] = flag(
        "none",
        "Optimisation",
        "balanced: every class weighs the same in the loss, however rare; with several labels, so do presence and absence",
    )
    select: Literal["last", "validation", "worst_group"] = flag(
        "last",
        "Choice of the network",
        "epoch whose network is kept; validation: best --metric on the validation part, worst_group: best worst group there",
    )
    metric: MetricName | None = flag(
        None,
        "Choice of the network",
        "metric by which networks are compared, and by which --select validation and a search choose",
        unset="accuracy; map if images may have several labels",
    )
    patience: Annotated[int, Interval(1)] | None = flag(
        None,
        "Choice of the network",
        "with --select validation or worst_group: stop after N epochs without improvement",
        unset="no early stopping",
    )
    data_dir: str | None = flag(
        None, "Data", "folder of a named data set: torchvision's layout, or DIR/NAME/train.npz", value="DIR"
    )
    validation: Annotated[float, Interval(0, 1)] = flag(0.1, "Data", "fraction of the training part held out for validation")
    image_size: Annotated[int, Interval(1)] | tuple[Annotated[int, Interval(1)], ...] | None = flag(
        None,
        "Data",
        "side in pixels to which images are resized, or rows and columns, such as 256,128",
        value="N|ROWS,COLUMNS",
        unset="the images' own, if all are the same; with --pretrained, the weights'",
    )
    resize: Literal["cover", "fit", "stretch"] = flag(
        "cover",
        "Data",
        "how images of another shape are resized to --image-size: cover crops the centre, fit pads with black, stretch distorts",
    )
    intensity_range: str = flag(
        "auto", "Data", "values mapped to grey levels 0 to 255 in images of more than 8 bits: auto, or LOW,HIGH", value="RANGE"
    )
    fraction: Annotated[float, Interval(0, 1)] = flag(
        1.0, "Data", "fraction of the training images to use, the same images for every seed"
    )
    label_noise: Annotated[float, Interval(0, 1)] = flag(
        0.0, "Data", "fraction of the training labels replaced by random ones, the same for every seed"
    )
    labels: Annotated[int, Interval(1)] | None = flag(
        None,
        "Data",
        "number of labels to use, stratified by class; the other training images count as unlabelled",
        unset="all",
    )
    labels_per_class: Annotated[int, Interval(1)] | None = flag(None, "Data", "the same, as a number per class", unset="all")
    device: str = flag("auto", "Device and speed", "cpu, cuda, cuda:1, ...; auto uses a GPU if there is one", value="DEVICE")
    precision: Literal["auto", "float32", "bfloat16"] = flag(
        "auto",
        "Device and speed",
        "floating-point precision; auto uses bfloat16 if the device supports it and a probe finds it faster",
    )
    draws: Draws = flag(
        "independent", "Device and speed", "stratified: over the epochs, each image gets all strengths, operations and sides evenly"
    )
    capture: bool = flag(True, "Device and speed", "on a GPU: capture whole training steps in CUDA graphs")
    stream: Literal["auto", "yes", "no"] = flag(
        "auto", "Device and speed", "decode images while training instead of holding them in memory; auto does so beyond 8 GiB"
    )
    cache: str | None = flag(
        None,
        "Device and speed",
        "folder where decoded images are kept for later commands, or off; the oldest are deleted when it is full",
        value="DIR|off",
        unset="~/.cache/augury/decoded",
    )
    log: str | None = flag(
        None,
        "Device and speed",
        "trackers that log every epoch: tensorboard, wandb, mlflow, separated by commas, with options",
        value="A,B,...",
        unset="none",
    )
    decode_workers: Annotated[int, Interval(0, 512)] | None = flag(
        None, "Device and speed", "processes that decode streamed images", unset="one per core"
    )
    checkpoint_seconds: Annotated[float, Interval(0)] = flag(
        0.0, "Device and speed", "minimum seconds between checkpoints; 0 writes one after every epoch", value="SECONDS"
    )

    @staticmethod
    def of(values: dict[str, Any], where: str) -> "Settings":
        """Settings from a flat mapping; InputError naming the field and its range, or the nearest known field.

        The keys POLICY_FILES and PRETRAINED_FILES of a run's config.yaml are ignored.
        """
        return Settings(**checked(Settings, {k: v for k, v in values.items() if k not in (POLICY_FILES, PRETRAINED_FILES)}, where))

    def resolved(self, images: int, metric: MetricName = "accuracy") -> "Settings":
        """With the batch size chosen for a training part of `images` images if unset, and the metric set to `metric` if unset.

        The batch size is 128, or for few images the largest power of two (at least 8) that gives six or more steps per epoch.
        """
        size = min(128, 1 << max(3, (images // 6).bit_length() - 1)) if self.batch_size is None else self.batch_size
        return replace(self, batch_size=size, metric=self.metric or metric)

    @property
    def refined(self) -> bool:
        """Whether the training ends with refinement."""
        return self.refine_epochs > 0 or self.refine_at is not None

    @property
    def stage_one(self) -> int:
        """Epochs before the refinement; all if there is none."""
        return self.epochs if self.refine_at is None else self.refine_at

    @property
    def total_epochs(self) -> int:
        """Epochs including those that refinement adds."""
        return self.epochs + self.refine_epochs

    @property
    def peak_lr(self) -> float:
        """The highest learning rate, scaled to the resolved batch size if `lr_base_size` is set."""
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
    return {k: convert(_number(v, hints[k]), hints[k], f"{_flag(k, where)}: {shortened(repr(v))}") for k, v in values.items()}


def _number(value: object, hint: object) -> Any:
    """Text such as `1e-2` as a float if the type holds floats: YAML 1.1 reads it as a string, since it requires `1.0e-2`."""
    if isinstance(value, list | tuple):
        return [_number(each, hint) for each in value]
    if not isinstance(value, str) or not _holds_float(hint):
        return value
    try:
        return float(value)
    except ValueError:
        return value


def _holds_float(hint: object) -> bool:
    return hint is float or any(_holds_float(part) for part in get_args(hint))


def _flag(key: str, where: str) -> str:
    return f"--{key.replace('_', '-')}" if where.startswith("--") else f"{where}: {key}"
