"""What several commands share: the flags of a training, their conversion, and lines printed about results."""

import argparse
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from augury.core.errors import InputError

DATA = (
    "digits, cifar10, cifar100, svhn, mnist; a folder with train/ and test/ class folders or with train.npz and test.npz; "
    "a CSV manifest; hf:owner/name"
)
NONE: Mapping[str, str] = MappingProxyType({})
EXAMPLES = {
    "compare": "digits --augment none,cutout", "search": "digits --method randaugment", "patch": "digits_correlation",
}  # fmt: skip
LISTS = ("decay_milestones", "risk_epochs")
SETTINGS = (
    ("--model", "M", "network: a name of `augury list`, torchvision:NAME or timm:NAME; A,B for strategies of several (small_cnn)"),
    ("--augment2", "A", "second augmentation, for strategies with several views, such as ait"),
    ("--epochs", "N", "passes over the training part (60)"),
    ("--batch-size", "N", "source images per optimiser step (128; fewer for small data, so that an epoch has six)"),
    ("--opt", "NAME", "optimiser: sgd, rmsprop, adam or adamw (sgd)"),
    ("--lr", "RATE", "highest learning rate (0.1)"),
    ("--lr-base-size", "N", "--lr is meant for batches of N images and is scaled linearly to --batch-size (not scaled)"),
    ("--momentum", "M", "momentum; the first beta of Adam and AdamW (0.9)"),
    ("--nesterov", "BOOL", "sgd: Nesterov's momentum instead of plain (true)"),
    ("--weight-decay", "W", "weight decay (5e-4)"),
    ("--sched", "NAME", "learning-rate schedule: cosine, multistep, step or constant (cosine)"),
    ("--decay-milestones", "E,F", "multistep: epochs at which the rate falls; fractions of --epochs below 1 (0.3,0.6,0.8)"),
    ("--decay-epochs", "N", "step: the rate falls after every N epochs (a third of them)"),
    ("--decay-rate", "R", "step and multistep: the factor by which it falls (0.2)"),
    ("--warmup-epochs", "N", "epochs in which the rate rises linearly from --warmup-lr (0)"),
    ("--warmup-lr", "RATE", "where the warm-up starts (0)"),
    ("--smoothing", "S", "label smoothing: the weight of all classes alike, for every strategy (0)"),
    ("--clip-grad", "N", "largest norm of the gradient (not clipped)"),
    ("--grad-accum-steps", "N", "pieces that a batch is cut into to save memory; its images and steps stay the same (1)"),
    ("--model-ema-decay", "D", "average the weights over the steps, and evaluate and keep the average (not averaged)"),
    ("--refine-epochs", "N", "refinement: N epochs more without intensive stages, at a small constant rate (0)"),
    ("--refine-at", "EPOCH", "refinement within --epochs: intensive stages are off after EPOCH epochs"),
    (
        "--refine-mode",
        "M",
        "standard: crop and flip stay on; nothing: no augmentation; gradual: fading out, by strength where there is one; "
        "gradual_chance: by chance; statistics: batch normalisation's alone, a control (standard)",
    ),
    ("--refine-lr", "RATE", "rate of the refinement (the schedule's last; 1e-3 after a cosine)"),
    ("--refine-sched", "NAME", "schedule of the refinement: constant, or cosine from its rate to 0 (constant)"),
    ("--risk-every", "N", "measure the risk on clean and augmented training images after every N epochs"),
    ("--risk-epochs", "E,F", "measure it after these epochs"),
    ("--seed", "K", "seed of weights, order and augmentation; with --seeds, the first one (0)"),
    ("--sampling", "NAME", "shuffled, or groups: every batch holds as many images of every group (shuffled)"),
    ("--select", "NAME", "the network of which epoch is kept: last, validation or worst_group, by the validation part (last)"),
    ("--patience", "N", "epochs without a better one after which to stop; with --select validation or worst_group"),
    ("--data-dir", "D", "where a named data set already is: torchvision's layout, or D/NAME/train.npz"),
    ("--validation", "F", "fraction of the training part held out for validation (0.1)"),
    ("--image-size", "N", "side that images are brought to, or rows and columns, 256,128 (that of the images, where they agree)"),
    ("--resize", "HOW", "to another shape: cover, and cut the centre out; fit the whole image in, on black; or stretch (cover)"),
    ("--intensity-range", "R", "values that become grey levels 0 to 255 in images of more than 8 bits: auto, or LOW,HIGH (auto)"),
    ("--fraction", "F", "share of the training images that is used, the same ones for every seed (1)"),
    ("--label-noise", "R", "share of the training labels that is drawn at random, the same for every seed (0)"),
    ("--labels", "N", "labels that are used, stratified; the other training images are unlabelled (all)"),
    ("--labels-per-class", "N", "the same, as a number for each class"),
    ("--device", "D", "cpu, cuda, ... (cuda where there is one)"),
    ("--precision", "P", "auto, float32 or bfloat16 (bfloat16 on a GPU that has it)"),
    ("--capture", "BOOL", "capture whole steps in CUDA graphs on a GPU (true)"),
    ("--stream", "S", "yes, no or auto: decode images while training instead of holding them in memory (auto: beyond 8 GiB)"),
    ("--decode-workers", "N", "processes that decode streamed images (one per core)"),
    ("--checkpoint-seconds", "S", "write a checkpoint at most this often; 0 after every epoch (0)"),
)


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON for machines")


def named_path(text: str) -> Path:
    """A path as a flag's value; an empty one, which an unset variable leaves, would be the current folder."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty; name a file or folder, `.` for this one")
    return Path(text)


def add_output(parser: argparse.ArgumentParser) -> None:
    """The flags of a command that measures what there is: where to, from which file, and how loudly."""
    parser.add_argument("--output", required=True, type=named_path, metavar="DIR", help="folder for the results")
    parser.add_argument(
        "-c", dest="config", type=named_path, metavar="FILE", help="defaults from a YAML file (config.yaml of before)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace what is in --output")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    add_json(parser)


def add_flags(parser: argparse.ArgumentParser, flags: Iterable[tuple[str, str, str]], others: Mapping[str, str] = NONE) -> None:
    """Flags (name, what stands for the value, help) that are absent unless given; others: other help for some of them."""
    for flag, metavar, text in flags:
        parser.add_argument(flag, metavar=metavar, default=argparse.SUPPRESS, help=others.get(flag, text))


def add_settings(
    parser: argparse.ArgumentParser, augment: str, strategy: str, others: Mapping[str, str] = NONE
) -> None:  # fmt: skip
    """The flags of a training; others: help for flags that mean something else here, or start from something else."""
    parser.add_argument("data", metavar="DATA", nargs="?", default=argparse.SUPPRESS, help=DATA)
    parser.add_argument("--augment", metavar="A", default=argparse.SUPPRESS, help=augment)
    parser.add_argument("--strategy", metavar="S", default=argparse.SUPPRESS, help=strategy)
    add_flags(parser, SETTINGS, others)
    parser.add_argument("--output", required=True, type=named_path, metavar="DIR", help="folder for the results")
    parser.add_argument(
        "-c", dest="config", type=named_path, metavar="FILE", help="defaults from a YAML file (a run's config.yaml)"
    )
    parser.add_argument("--resume", action="store_true", help="go on with the run in --output")
    parser.add_argument("--overwrite", action="store_true", help="replace the run in --output")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    add_json(parser)


def config_of(path: Path | None, known: Sequence[str]) -> dict[str, Any]:
    """What a -c file says, empty without one; InputError for a key that is not known."""
    from augury.core.registry import unknown
    from augury.train.engine.config_file import read_config

    values = {} if path is None else read_config(path)
    for key in values:
        if key not in known:
            raise InputError(f"-c {path}: {unknown('setting', key, list(known))}")
    return values


def settings_of(
    options: argparse.Namespace, *, several: bool, also: Sequence[str] = ("seeds",), defaults: dict[str, Any] | None = None
) -> tuple[Any, dict[str, Any]]:
    """Settings from the flags over the -c file over `defaults`; what is no training's setting (`also`) comes back beside them."""
    from augury.core.options import text_from
    from augury.train.engine.config_file import read_config
    from augury.train.engine.settings import Settings

    values = {**(defaults or {}), **(read_config(options.config) if options.config else {})}
    for key in ("augment", "augment2", "strategy", "model"):
        if values.get(key) is not None:
            parted = key == "model" or (key != "augment2" and several)
            values[key] = text_from(values[key], f"-c {options.config}: {key}", several=parted)
    flags = {key: value for key, value in vars(options).items() if key in Settings.__dataclass_fields__ or key in also}
    from_file = {key: values.pop(key, None) for key in also}
    extra = {key: flags.pop(key, from_file[key]) for key in also}
    Settings.of({"data": "digits", **values}, f"-c {options.config}")
    merged = {
        **(defaults or {}),
        **values,
        **{key: listed(value) if key in LISTS or _sides(key, value) else number(value) for key, value in flags.items()},
    }
    if "data" not in merged:
        command = options.parser.prog
        example = EXAMPLES.get(command.split()[-1], "digits")
        raise InputError(f"DATA: name the data, for example `{command} {example} --output DIR`")
    return Settings.of(merged, "--flags"), extra


def _sides(key: str, value: Any) -> bool:
    return key == "image_size" and "," in str(value)


def image_size(text: str | None) -> int | tuple[int, ...] | None:
    """`--image-size` as a side, or as rows and columns."""
    if text is None:
        return None
    sides = tuple(whole(part.strip(), "--image-size") for part in text.split(","))
    return sides[0] if len(sides) == 1 else sides


def listed(text: Any) -> list[Any]:
    """A flag's text, parted by commas."""
    return [number(part.strip()) for part in str(text).split(",") if part.strip()]


def number(text: Any) -> Any:
    """A flag's text as a number where it is one, so that flags and YAML meet the same check."""
    try:
        return int(text)
    except (TypeError, ValueError):
        try:
            return float(text)
        except (TypeError, ValueError):
            return {"true": True, "false": False}.get(text, text)


def whole(value: Any, flag: str, low: int = 1, high: int = 10**6) -> int:
    from typing import Annotated

    from augury.core.options import Interval, convert

    return convert(number(value), Annotated[int, Interval(low, high)], f"{flag}: {value!r}")


def command_line() -> str:
    """The command as typed, for files that must say how they were made."""
    return shlex.join(["augury", *sys.argv[1:]])


def print_accuracies(result: dict[str, Any], what: str) -> None:
    """A line per network."""
    networks = result["networks"]
    for number, found in enumerate(networks, start=1):
        name = f"network {number} ({found['model']}), " if len(networks) > 1 else ""
        figures = f"{found['accuracy']:.2f} %, top-5 {found['accuracy_top5']:.2f} %, loss {found['loss']:.4f}"
        print(f"{name}{what} {figures}")
        if "median_last_10" in found:
            last, best, median = found.get("last"), found["best"], found["median_last_10"]
            shown = f"last {last:.2f} %, " if last is not None else ""
            print(f"{name}validation accuracy {shown}best {best:.2f} %, median of the last ten epochs {median:.2f} %")
    before = result.get("stage_one")
    if before is not None:
        print(f"before refinement, after epoch {before['epoch']}: {what} {before['accuracy']:.2f} %, loss {before['loss']:.4f}")
    if "retrieval" in result:
        found = result["retrieval"]
        ranks = f"rank-1 {found['rank1']:.2f} %, rank-5 {found['rank5']:.2f} %"
        print(f"retrieval: {ranks}, mAP {found['map']:.2f} % ({found['queries']} queries)")


def print_notes(result: dict[str, Any]) -> None:
    for note in result.get("notes", ()):
        print(f"note: {note}", file=sys.stderr)
